"""The house rules that no linter knows: small rooms, no leftovers, documents that tell the truth."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "drivers", "edge", "central", "simulators")
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "versions" not in path.parts
)


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_holds_one_idea(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    too_long = [
        f"{one.name}: {one.end_lineno - one.lineno + 1}"
        for one in functions(ast.parse(text))
        if one.end_lineno - one.lineno >= 60
    ]
    assert not too_long
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert path.stem not in {"utils", "helpers", "manager", "misc", "common"}


def test_each_broad_except_says_why_in_its_line():
    """It belongs at a task's outermost frame, or where a bug of one part must not stop another."""
    found = []
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            broad = isinstance(node, ast.ExceptHandler) and (
                node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"}
            )
            cleans_up = isinstance(node, ast.ExceptHandler) and isinstance(node.body[-1], ast.Raise)
            if broad and not cleans_up and "  # " not in lines[node.lineno - 1]:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def test_the_import_contracts_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_link_of_the_documents_leads_somewhere():
    missing = []
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            leads = "://" in target or (document.parent / target).exists()
            missing += [] if leads else [f"{document.relative_to(ROOT)}: {target}"]
    assert not missing


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:`|^ {4})make ([a-z][a-z-]*)", readme, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_driver_stands_in_the_documents():
    table = (ROOT / "docs" / "drivers.md").read_text(encoding="utf-8")
    for package in (ROOT / "drivers").iterdir():
        if (package / "__init__.py").exists():
            assert f"`{package.name.replace('_', '-')}`" in table, package.name
    for profile in (ROOT / "firmware_profiles").glob("*/*.toml"):
        assert tomllib.loads(profile.read_text(encoding="utf-8"))["name"] in table


def test_the_lock_has_a_hash_for_each_package():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    packages = re.findall(r"^([a-z0-9][a-z0-9._-]*(?:\[[a-z,]+\])?)==", lock, re.MULTILINE)
    assert len(packages) > 50
    assert lock.count("==") <= lock.count("--hash=sha256:")
    assert "://" not in lock
