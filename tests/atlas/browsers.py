"""Two browsers behind one small interface: Chromium by Playwright, Firefox by WebDriver BiDi."""

import base64
import contextlib
import io
import itertools
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium")
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A busy machine is slow, not wrong.
PATIENCE = 90.0
KEYS = {
    "Escape": "\ue00c",
    "Enter": "\ue007",
    "Space": " ",
    "Backspace": "\ue003",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
    "Shift": "\ue008",
}


class Chromium:
    """Debian's Chromium."""

    def __init__(self) -> None:
        from playwright.sync_api import sync_playwright

        self._driver = sync_playwright().start()
        self._browser = self._driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)

    def window(self, width: int, height: int, touch: bool, dark: bool) -> "ChromiumWindow":
        return ChromiumWindow(self._browser, width, height, touch, dark)

    def close(self) -> None:
        self._browser.close()
        self._driver.stop()


class ChromiumWindow:
    def __init__(self, browser, width: int, height: int, touch: bool, dark: bool) -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=touch,
            is_mobile=touch,
            color_scheme="dark" if dark else "light",
        )
        self._page = self._context.new_page()
        self._page.set_default_timeout(1000 * PATIENCE)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self._page.on("request", lambda request: self.requests.append(request.url))

    def goto(self, address: str) -> None:
        self._page.goto(address)

    def js(self, expression: str) -> Any:
        return self._page.evaluate(f"async () => {{ return ({expression}); }}")

    def move(self, x: float, y: float) -> None:
        self._page.mouse.move(x, y)

    def down(self) -> None:
        self._page.mouse.down()

    def up(self) -> None:
        self._page.mouse.up()

    def tap(self, x: float, y: float) -> None:
        self._page.touchscreen.tap(x, y)

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def files(self, selector: str, path: Path) -> None:
        self._page.set_input_files(selector, str(path))

    def offline(self) -> None:
        self._context.set_offline(True)

    def png(self) -> bytes:
        return self._page.screenshot()

    def pdf(self) -> bytes:
        return self._page.pdf(prefer_css_page_size=True, print_background=True)

    def close(self) -> None:
        self._context.close()


class Firefox:
    """Debian's Firefox, spoken to in WebDriver BiDi (https://w3c.github.io/webdriver-bidi/)."""

    def __init__(self) -> None:
        from websockets.sync.client import connect

        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        quiet = [
            "app.update.enabled",
            "browser.shell.checkDefaultBrowser",
            "datareporting.policy.dataSubmissionEnabled",
        ]
        offline = "network.captive-portal-service.enabled", "network.connectivity-service.enabled"
        lines = [f'user_pref("{name}", false);' for name in (*quiet, *offline)]
        (Path(self._profile.name) / "user.js").write_text("\n".join(lines) + "\n")
        arguments = ["--headless", "--no-remote", "--profile", self._profile.name, "--remote-debugging-port", "0"]
        self._process = subprocess.Popen(
            [str(FIREFOX), *arguments, "about:blank"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        address = None
        for line in self._process.stderr:
            if found := re.search(r"listening on (ws://\S+)", line):
                address = found.group(1)
                break
        self._stack = contextlib.ExitStack()
        self._socket = self._stack.enter_context(connect(f"{address}/session", max_size=None, open_timeout=PATIENCE))
        self._numbers = itertools.count(1)
        self._windows: dict[str, FirefoxWindow] = {}
        self.ask("session.new", {"capabilities": {}})
        self.ask("session.subscribe", {"events": ["log.entryAdded", "network.beforeRequestSent"]})

    def ask(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == number:
                if answer["type"] == "error":
                    raise RuntimeError(f"{method}: {answer['error']}: {answer['message']}")
                return answer["result"]
            if answer.get("type") == "event":
                self._note(answer["method"], answer["params"])

    def _note(self, method: str, event: dict[str, Any]) -> None:
        context = event.get("context") or event.get("source", {}).get("context")
        window = self._windows.get(context)
        if window is None:
            return
        if method == "network.beforeRequestSent":
            window.requests.append(event["request"]["url"])
        elif event["level"] == "error":
            window.errors.append(str(event["text"]))

    def window(self, width: int, height: int, touch: bool, dark: bool) -> "FirefoxWindow":
        context = self.ask("browsingContext.create", {"type": "tab"})["context"]
        found = self._windows[context] = FirefoxWindow(self, context, width, height)
        return found

    def close(self) -> None:
        self._stack.close()
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._process.stderr.close()
        self._profile.cleanup()


class FirefoxWindow:
    def __init__(self, browser: Firefox, context: str, width: int, height: int) -> None:
        self._browser, self._context = browser, context
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._at = (0, 0)
        self._ask("browsingContext.setViewport", viewport={"width": width, "height": height})

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.ask(method, {"context": self._context, **parameters})

    def goto(self, address: str) -> None:
        self._ask("browsingContext.navigate", url=address, wait="complete")

    def js(self, expression: str) -> Any:
        code = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        answer = self._browser.ask(
            "script.evaluate", {"expression": code, "target": {"context": self._context}, "awaitPromise": True}
        )
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        value = answer["result"].get("value")
        return None if value is None else json.loads(value)

    def _pointer(self, *actions: dict[str, Any], kind: str = "mouse") -> None:
        source = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": list(actions)}
        self._ask("input.performActions", actions=[source])

    def move(self, x: float, y: float) -> None:
        self._pointer({"type": "pointerMove", "x": round(x), "y": round(y)})

    def down(self) -> None:
        self._pointer({"type": "pointerDown", "button": 0})

    def up(self) -> None:
        self._pointer({"type": "pointerUp", "button": 0})

    def tap(self, x: float, y: float) -> None:
        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        self._pointer({"type": "pointerMove", "x": round(x), "y": round(y)}, down, up, kind="touch")

    def press(self, key: str) -> None:
        keys = [KEYS.get(part, part) for part in (key.split("+") if len(key) > 1 else [key])]
        actions = [{"type": "keyDown", "value": one} for one in keys]
        actions += [{"type": "keyUp", "value": one} for one in reversed(keys)]
        self._ask("input.performActions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def files(self, selector: str, path: Path) -> None:
        found = self._browser.ask(
            "script.evaluate",
            {
                "expression": f"document.querySelector({json.dumps(selector)})",
                "target": {"context": self._context},
                "awaitPromise": False,
            },
        )
        self._ask("input.setFiles", element={"sharedId": found["result"]["sharedId"]}, files=[str(path)])

    def png(self) -> bytes:
        return base64.b64decode(self._ask("browsingContext.captureScreenshot")["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self._ask("browsingContext.print", background=True)["data"])

    def close(self) -> None:
        self._ask("browsingContext.close")


class Opened:
    """An atlas in a window, with what tests do to it."""

    def __init__(
        self,
        browser,
        path: Path,
        hash_: str = "",
        *,
        width: int = 1366,
        height: int = 800,
        touch: bool = False,
        dark: bool = False,
    ) -> None:
        self.window = browser.window(width, height, touch, dark)
        self.window.goto(path.as_uri() + hash_)
        self.wait("window.atlasComplete === true")
        # What would be saved stays in the page, where a test can read it.
        self.js(
            "(window.saved = [], Atlas.download = async (name, blob) => { const bytes = new Uint8Array(await "
            "blob.arrayBuffer()); let text = ''; for (const byte of bytes) text += String.fromCharCode(byte); "
            "saved.push([name, btoa(text)]); }, 0)"
        )

    @property
    def errors(self) -> list[str]:
        return self.window.errors

    @property
    def asked(self) -> list[str]:
        """Addresses asked for outside the page's own file."""
        return [url for url in self.window.requests if not url.startswith(("file:", "data:", "blob:", "about:"))]

    def js(self, expression: str) -> Any:
        return self.window.js(expression)

    def wait(self, expression: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.js(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)

    def frame(self) -> None:
        """Waits until pending changes are painted."""
        self.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def update(self, changes: str) -> None:
        self.js(f"(atlas.update({changes}), 0)")
        self.frame()

    def text(self, selector: str) -> str:
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def texts(self, selector: str) -> list[str]:
        return self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText)")

    def count(self, selector: str) -> int:
        return self.js(f"document.querySelectorAll({json.dumps(selector)}).length")

    def visible(self, selector: str) -> bool:
        return self.js(
            f"[...document.querySelectorAll({json.dumps(selector)})].some((e) => e.getClientRects().length > 0)"
        )

    def box(self, selector: str) -> dict[str, float]:
        return self.js(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")

    def _middle(self, selector: str, says: str, at: int) -> tuple[float, float]:
        found = self.js(
            f"(() => {{ const all = [...document.querySelectorAll({json.dumps(selector)})].filter((e) => "
            f"e.textContent.includes({json.dumps(says)})), e = all.at({at}); if (!e) return null; "
            "e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); "
            "return [r.left + r.width / 2, r.top + r.height / 2]; })()"
        )
        assert found, f"no {selector} that says {says!r}"
        return found[0], found[1]

    def click(self, selector: str, says: str = "", at: int = 0) -> None:
        """A press of the mouse on the middle of the element that matches and says something."""
        self.click_at(*self._middle(selector, says, at))
        self.frame()

    def click_at(self, x: float, y: float) -> None:
        self.window.move(x, y)
        self.window.down()
        self.window.up()

    def tap(self, selector: str, says: str = "") -> None:
        self.window.tap(*self._middle(selector, says, 0))
        self.frame()

    def press(self, key: str) -> None:
        self.window.press(key)
        self.frame()

    def point(self, latitude: float, longitude: float) -> tuple[float, float]:
        """Where a place is in the window."""
        x, y = self.js(
            f"(() => {{ const p = atlas.map.latLngToContainerPoint([{latitude}, {longitude}]), "
            "r = atlas.container.getBoundingClientRect(); return [p.x + r.left, p.y + r.top]; })()"
        )
        return x, y

    def pixels(self) -> np.ndarray:
        with Image.open(io.BytesIO(self.window.png())) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    def colour(self, x: float, y: float) -> np.ndarray:
        return self.pixels()[int(y), int(x)]

    def centre_on(self, latitude: float, longitude: float, zoom: float) -> None:
        self.js(f"(atlas.map.setView([{latitude}, {longitude}], {zoom}, {{animate: false}}), 0)")
        self.frame()

    def saved(self) -> tuple[str, bytes]:
        """Name and bytes of what was saved last."""
        self.wait("saved.length > 0")
        name, content = self.js("saved.pop()")
        return name, base64.b64decode(content)

    def rows(self) -> list[list[str]]:
        """Cells of the CSV that was saved last."""
        return [line.split(",") for line in self.saved()[1].decode().splitlines()]

    def close(self) -> None:
        self.window.close()
