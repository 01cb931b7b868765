"""Which device a model is computed on."""

import pytest
import torch

from resgen_tts.apps.devices import choose_device
from resgen_tts.common.errors import ConfigError, DeviceError


def test_auto_says_what_it_took():
    told = []
    assert choose_device("auto", told.append) == ("cuda" if torch.cuda.is_available() else "cpu")
    assert len(told) == 1 and told[0].startswith("device: ")


def test_a_device_that_was_named_is_not_told():
    assert choose_device("cpu", pytest.fail) == "cpu"


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:first", "cpu:0", ""])
def test_nonsense_is_refused(name):
    with pytest.raises(ConfigError, match="USAGE"):
        choose_device(name, print)


def test_a_gpu_that_is_not_there_is_an_error_of_the_environment(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="DEVICE_MISSING") as caught:
        choose_device("cuda", print)
    assert caught.value.exit_code == 3


def test_there_is_no_gpu_beyond_the_last(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1", print) == "cuda:1"
    with pytest.raises(DeviceError, match="sees 2 GPUs"):
        choose_device("cuda:2", print)
