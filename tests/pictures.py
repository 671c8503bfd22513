"""Makes the README's pictures from the running product: `make pictures`."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, sync_playwright

from tests.processes import (
    Process,
    Sandbox,
    environment,
    free_port,
    request_json,
    run_cli,
    sandbox,
    server,
)

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def main() -> None:
    """Declare the sample disruption in a browser and photograph what it looks like."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sandbox(folder := Path(name)) as box:
        port = free_port()
        settings = environment(
            folder, box, NOTIFIER_BASE_URL=f"http://127.0.0.1:{port}",
            NOTIFIER_SITE__NAME="Northvale Water & Heat",
        )  # fmt: skip
        token = _prepare(folder, settings)
        with server(folder, settings, port) as serving, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1)
            link = run_cli("users", "link", "ayesha", settings=settings, folder=folder)
            page.goto(_url(link.stdout))
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("**/admin/")
            _photograph_declare(page, serving)
            # A page of its own: the room's content security policy forbids a mail's styles.
            paper = browser.new_page(viewport={"width": 640, "height": 720})
            _photograph_mail(paper, serving, box, token)
            browser.close()


def _photograph_declare(page: Page, serving: Process) -> None:
    page.goto(f"{serving.url}/admin/declare")
    page.get_by_label("Title").fill("No hot water in Northvale")
    page.get_by_label("Hot water").check()
    page.get_by_label("Major").check()
    page.get_by_label("How are customers affected?").fill(
        "About 4,200 homes in Northvale have no hot water. Heating and cold water work as usual."
    )
    page.locator("#duration-between").check()
    page.locator("#duration_from").fill(_local(hours=2))
    page.locator("#duration_until").fill(_local(hours=4))
    page.get_by_label("What is happening?").fill(
        "A circulation pump in the Mill Street plant has failed. A replacement is on its way, and"
        " two engineers are there."
    )
    page.set_viewport_size({"width": 1280, "height": 1740})
    page.wait_for_timeout(1500)
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.screenshot(path=PICTURES / "declare.png")


def _photograph_mail(page: Page, serving: Process, box: Sandbox, token: str) -> None:
    now = datetime.now(UTC)
    told = {
        "title": "No hot water in Northvale",
        "severity": "major",
        "components": ["hot-water"],
        "impact": "About 4,200 homes in Northvale have no hot water. Heating and cold water work"
        " as usual.",
        "expected_duration": {
            "from": (now + timedelta(hours=2)).isoformat(),
            "until": (now + timedelta(hours=4)).isoformat(),
        },
        "explanation": "A circulation pump in the Mill Street plant has failed. A replacement is"
        " on its way, and two engineers are there.",
        "next_update_by": (now + timedelta(hours=1)).isoformat(),
        "email": {"delay_minutes": 0},
    }
    request_json("POST", f"{serving.url}/api/v1/incidents", told, token=token)
    (mail,) = box.wait_for(1, "sendgrid")
    page.set_content(mail["html"])
    page.screenshot(path=PICTURES / "mail.png")


def _prepare(folder: Path, settings: dict[str, str]) -> str:
    for slug, name, group in (
        ("hot-water", "Hot water", "Northvale"),
        ("cold-water", "Cold water", "Northvale"),
        ("heating", "Heating", "Northvale"),
        ("app", "App and web site", "Customer service"),
    ):
        run_cli(
            "components", "put", slug, "--name", name, "--group", group,
            settings=settings, folder=folder,
        )  # fmt: skip
    csv = folder / "customers.csv"
    csv.write_text(
        "external_id,email,name,language,time_zone,components\n"
        "1,ayesha.khan@example.com,Ayesha Khan,en,Asia/Karachi,hot-water\n"
    )
    run_cli("customers", "import", str(csv), settings=settings, folder=folder)
    run_cli("users", "create", "ayesha", "--role", "admin", "--password-stdin",
            settings=settings, folder=folder, stdin="a long password of ours")  # fmt: skip
    made = run_cli(
        "token", "create", "--role", "admin", "--name", "t", settings=settings, folder=folder
    )
    return made.stdout.strip()


def _local(**delta: float) -> str:
    """A time as the form takes it, in the site's zone."""
    at = datetime.now(ZoneInfo("Asia/Karachi")) + timedelta(**delta)
    return f"{at:%Y-%m-%dT%H:00}"


def _url(text: str) -> str:
    found = re.search(r"https?://\S+", text)
    if found is None:
        raise SystemExit(f"no sign-in link in: {text!r}")
    return found[0]


if __name__ == "__main__":
    main()
