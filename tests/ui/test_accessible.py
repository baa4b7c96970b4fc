"""What axe-core finds on the page: nothing serious, in any state a visitor meets."""

import pytest

from tests.fakes import EchoBackend
from tests.ui.visitor import ask, record

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra 'tests'")


def serious(page) -> list[str]:
    """Each serious finding, with the elements it is about."""
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {' | '.join(node['html'][:160] for node in one['nodes'])}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_from_the_first_look_to_a_spoken_turn(stage, visit, theme: str) -> None:
    page = visit(f"{stage.set(EchoBackend()).address}?__theme={theme}")
    page.wait_for_selector(".state.ready")
    page.wait_for_selector("#mic button.record-button", state="visible")
    assert serious(page) == []
    record(page, 1.0)
    page.wait_for_selector("#chat small")
    ask(page, "and in writing")
    page.click("#settings button, #settings summary")
    page.click("#mic-test-panel button, #mic-test-panel summary")
    page.evaluate("document.querySelector('#talk details').open = true")
    assert serious(page) == []


def test_nothing_serious_hands_free_on_a_phone(stage, visit) -> None:
    page = visit(stage.set(EchoBackend()).address, viewport={"width": 360, "height": 740})
    page.wait_for_selector(".state.ready")
    page.click("#talk-switch")
    page.wait_for_function("window.audiochat.talk.state === 'listening'")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click("#talk-switch")
