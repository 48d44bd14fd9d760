"""Profiles are found by their path and by nothing else."""

import pytest

from core.errors import ConfigInvalid, NotFound
from edge import profiles

PROFILE = 'name = "{name}"\ndriver = "reader"\nvendor = "v"\nmodel = "m"\nsource = "s"\n'


@pytest.fixture
def share(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEFLEET_SHARE", str(tmp_path))
    profiles.load_profile.cache_clear()
    folder = tmp_path / "firmware_profiles" / "acme"
    folder.mkdir(parents=True)
    yield folder
    profiles.load_profile.cache_clear()


def test_the_variable_goes_first(share):
    (share / "one.toml").write_text(PROFILE.format(name="acme/one"), encoding="utf-8")
    assert profiles.load_profile("acme/one").vendor == "v"
    assert profiles.profile_names() == ("acme/one",)


def test_all_profiles_of_the_house_can_be_loaded():
    assert {profiles.load_profile(name).name for name in profiles.profile_names()} == set(profiles.profile_names())


@pytest.mark.parametrize(
    "name", ["acme/none", "../acme/one", "acme", "/etc/passwd", "acme/one/two", "", "ACME/one", "acme/one\n"]
)
def test_a_name_that_is_no_profile_says_which_there_are(share, name):
    (share / "one.toml").write_text(PROFILE.format(name="acme/one"), encoding="utf-8")
    with pytest.raises(NotFound, match="one of: acme/one"):
        profiles.load_profile(name)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"name = 3", b"= =", PROFILE.format(name="acme/other").encode(), b""],
    ids=["not UTF-8", "not a profile", "not TOML", "another's name", "empty"],
)
def test_a_profile_that_is_not_one_is_refused_with_its_file(share, content):
    (share / "one.toml").write_bytes(content)
    with pytest.raises(ConfigInvalid) as caught:
        profiles.load_profile("acme/one")
    assert caught.value.place == "acme/one.toml"


def test_a_profile_that_was_refused_is_read_again(share):
    (share / "one.toml").write_bytes(b"")
    with pytest.raises(ConfigInvalid):
        profiles.load_profile("acme/one")
    (share / "one.toml").write_text(PROFILE.format(name="acme/one"), encoding="utf-8")
    assert profiles.load_profile("acme/one").name == "acme/one"


def test_no_folder_at_all_says_how_to_name_one(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEFLEET_SHARE", str(tmp_path))
    with pytest.raises(NotFound, match="GATEFLEET_SHARE"):
        profiles.data_folder("no-such-data")
