"""Building the sessions of devices."""

from pydantic import SecretStr

from drivers import registry
from drivers.jt808 import LocatorSettings
from edge.devices import resolved
from edge.profiles import load_profile
from edge.sections import DeviceSpec


def test_what_is_derived_from_a_secret_is_derived_from_the_secret_and_not_from_where_it_is(tmp_path):
    """The key of the authentication codes was the text `file:/...`: it had been made while the file was checked."""
    for name, secret in (("auth", "0123456789abcdef"), ("code", "another platform's")):
        (tmp_path / name).write_text(secret, encoding="utf-8")
    settings = LocatorSettings(
        terminals=("138*",),
        auth_key=SecretStr(f"file:{tmp_path / 'auth'}"),
        codes={"139": SecretStr(f"file:{tmp_path / 'code'}")},
    )
    assert settings.admission is not None  # as the check of the configuration does
    spec = DeviceSpec(
        "LOC", registry.driver("jt808"), load_profile("reference/jt808"), settings, "tcp-server://127.0.0.1:0", None
    )
    found = resolved(spec).settings
    same = LocatorSettings(terminals=("138*",), auth_key=SecretStr("0123456789abcdef"))
    assert found.admission.code("13800000001") == same.admission.code("13800000001")
    assert found.admission.admits("139", "another platform's")
    assert not found.admission.admits("139", f"file:{tmp_path / 'code'}")
