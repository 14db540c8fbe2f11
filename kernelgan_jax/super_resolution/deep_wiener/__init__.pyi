from .config import DeepWienerConfig as DeepWienerConfig
from .method import pretrained as pretrained
from .model import apply as apply
from .model import init as init
from .network import DeepWiener as DeepWiener
from .network import Params as Params
