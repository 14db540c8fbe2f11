"""`report.json` and the summary: what they have of a result."""

import dataclasses
import json

import numpy as np
import pytest
from app import makers
from app.makers import KERNEL

from kernelgan_jax import blur_kernels, width_texts
from kernelgan_jax.app import report, report_values
from kernelgan_jax.app.job import Job
from kernelgan_jax.config import Config
from kernelgan_jax.estimate import Evidence
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.provenance import provenance


def as_json(result, files=("report.json",)):
    """The report as other languages read it: without NaN."""
    return json.loads(json.dumps(report.to_dict(result, list(files)), allow_nan=False))


def test_report():
    result = makers.result()
    found = as_json(result)
    image = dict(width=30, height=20, channels=3, dtype="uint8", note="a note")
    assert found["image"] == {"path": "a.png", **image}
    assert found["converged"] is True and found["reason"] == ""
    assert found["confidence"] is None
    assert found["kernel_x2"]["shape"] == [15, 15]
    assert found["kernel_x2"]["sum"] == pytest.approx(1)
    assert found["kernel_x2"]["centre_of_mass"] == pytest.approx([7.5, 7.5], abs=0.01)
    widths = found["kernel_x2"]["widths"]
    assert widths["longer"] == pytest.approx(2, abs=0.02)
    assert widths["shorter"] == pytest.approx(1, abs=0.02)
    assert widths["angle"] == pytest.approx(30, abs=1)
    assert "kernel_x4" not in found
    assert found["super_resolution"] is None
    assert found["final_losses"]["bicubic_loss"] == 0.25
    assert (found["steps"], found["seconds"], found["seed"]) == (7, 12.345, 3)
    expected = json.loads(json.dumps(result.job.config.to_dict()))
    assert found["config"] == expected
    assert found["config"]["kernelgan"]["iterations"] == KernelGANConfig().iterations
    assert found["device"]["platform"] == "cpu" or found["device"]["kind"]
    packages = "kernelgan_jax jax jaxlib flax optax numpy scipy python".split()
    assert sorted(found["versions"]) == sorted(packages)
    assert found["versions"]["numpy"] == np.__version__
    assert found["provenance"] == provenance()
    assert (found["files"], found["fingerprint"]) == (["report.json"], "f")


def test_the_scale_asked_for_comes_last():
    found = as_json(makers.result(x4=True))
    kernels = [name for name in found if name.startswith("kernel_")]
    assert kernels == ["kernel_x2", "kernel_x4"]
    longer = [found[name]["widths"]["longer"] for name in kernels]
    assert longer[1] == pytest.approx(5**0.5 * longer[0], rel=0.02)


@pytest.mark.parametrize("loss", [np.nan, np.inf, 0.0])
def test_a_diverged_training_is_reported(loss):
    options = dict(kernel=np.zeros((13, 13)), failure="no kernel was found", loss=loss)
    found = as_json(makers.result(**options))
    assert (found["converged"], found["reason"]) == (False, "no kernel was found")
    assert found["kernel_x2"]["widths"] is None
    assert found["kernel_x2"]["centre_of_mass"] is None
    expected = loss if np.isfinite(loss) else None
    assert found["final_losses"]["generator_loss"] == expected


def test_confidence():
    confidence = makers.confidence()
    result = makers.result(confidence=confidence, loss=None, noise_std=0.02)
    found = as_json(result)
    assert found["confidence"] == {
        "level": "low",
        "reason": "a $reason",
        "expected_kernel_psnr": 55.0,
        "expected_covariance_error": None,
        "expected_sr_loss": 0.3,
        "standard_deviations": {"longer": 0.1, "shorter": 0.2, "angle": 5.0},
    }
    assert found["confidence"] == report.finite(confidence.to_dict())
    assert (found["noise"], found["steps"], found["final_losses"]) == (0.02, 0, {})
    summary = summary_of(result)
    assert (summary.level, summary.reason) == ("low", "a $reason")


@pytest.mark.parametrize(
    "estimator, family", [("spectral", "motion"), ("kernelgan", "")]
)
def test_only_spectral_kernels_are_of_a_family(estimator, family):
    fields = dict.fromkeys(Evidence._fields) | {"family": "motion", "text_share": 0.0}
    result = makers.result(evidence=Evidence(**fields))
    result = dataclasses.replace(result, job=Job(config=Config(estimator=estimator)))
    found = as_json(result)
    assert (found["family"], found["spectral_family"]) == (family, "motion")
    summary = summary_of(result)
    assert summary.family == summary.values["family"] == result.family == family


def test_a_known_kernel():
    found = as_json(makers.known(note="a note"))
    assert "converged" not in found and "kernel_x2" not in found
    assert "family" not in found and summary_of(makers.known()).family == ""
    sr = found["super_resolution"]
    assert sr["kernel_measures"].pop("shape") == [15, 15]
    del sr["kernel_measures"]
    assert sr == {
        "file": "sr_x2.png",
        "method": "deep_wiener",
        "kernel": "$k.npy",
        "frames": 1,
        "width": 60,
        "height": 40,
        "dtype": "uint8",
        "seconds": 1.0,
        "note": "a note",
    }


def test_the_values_of_a_known_kernel_stay_in_its_file():
    given = {"kernel": ((1.0,),), "source": "k.npy"}
    job = Job(config=Config(estimator="given", given=given))
    result = dataclasses.replace(makers.known(), job=job)
    assert as_json(result)["config"]["given"] == {"source": "k.npy"}


def summary_of(result):
    return report_values.summary(report.to_dict(result, {}))


def test_a_kernel_whose_widths_read_the_same_has_no_direction():
    widths = {"longer": 1.134, "shorter": 1.126, "angle": -68.2}
    assert width_texts.size(widths) == "1.13 × 1.13 px"
    assert width_texts.direction(widths) == "-"
    assert width_texts.direction(widths | {"longer": 1.136}) == "-68°"


def test_summary():
    found = summary_of(makers.result())
    assert (found.widths, found.angle) == ("2.00 × 1.00 px", "30°")
    assert (found.seconds, found.failure, found.level) == (12.345, "", "-")
    found = summary_of(makers.known(kernel=blur_kernels.bicubic(2)))
    # Its second moments are 0: the equivalent Gaussian's count.
    assert found.widths in ("0.76 × 0.75 px", "0.75 × 0.75 px", "0.76 × 0.76 px")
    assert (found.seconds, found.failure) == (13.345, None)
    assert summary_of(makers.known(kernel=KERNEL)).widths == "2.00 × 1.00 px"
