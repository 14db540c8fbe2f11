from .registry import ESTIMATORS as ESTIMATORS
from .registry import ConstantConfig as ConstantConfig
from .registry import Estimator as Estimator
from .registry import GivenConfig as GivenConfig
from .registry import PatchRecurrenceConfig as PatchRecurrenceConfig
from .registry import find_estimator as find_estimator
from .run import estimate_kernel as estimate_kernel
from .run import estimate_kernels as estimate_kernels
