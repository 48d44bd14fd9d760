"""Headless Chromium, driven by ChromeDriver over plain W3C WebDriver: no npm, no download."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import tempfile
import urllib.request

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--lang=en-US",
)


class Browser:
    """One session."""

    def __init__(self, base):
        self._base = base
        self._session = ""

    async def begin(self, *flags, profile):
        options = {"args": [*FLAGS, *flags, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = await self._post("/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    async def open(self, url):
        await self._post(f"{self._session}/url", {"url": url})

    async def before_each_page(self, script):
        """Have a script run before those of each page."""
        params = {"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": script}}
        await self._post(f"{self._session}/goog/cdp/execute", params)

    async def run(self, script, *args):
        """Return what a script returns; a promise is waited for."""
        body = f"const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, e => done('' + e));"
        return await self._post(f"{self._session}/execute/async", {"script": body, "args": list(args)})

    async def until(self, script, within_s=20.0):
        """Wait until a script returns something true; return it."""
        try:
            async with asyncio.timeout(within_s):
                while not (found := await self.run(script)):
                    await asyncio.sleep(0.1)
                return found
        except TimeoutError:
            raise AssertionError(f"never so: {script}\n{await self.log()}") from None

    async def log(self):
        return [one["message"] for one in await self._post(f"{self._session}/se/log", {"type": "browser"})]

    async def end(self):
        await asyncio.to_thread(self._ask, "DELETE", self._session, None)

    async def _post(self, path, body):
        return await asyncio.to_thread(self._ask, "POST", path, body)

    def _ask(self, method, path, body):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:2000]) from error


async def _driver():
    """Return a running ChromeDriver and its address; the port that it picks is sometimes taken in the other family."""
    for _ in range(5):
        driver = await asyncio.create_subprocess_exec(
            "chromedriver", "--port=0", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        async with asyncio.timeout(20):
            while line := await driver.stdout.readline():
                if b"started successfully on port" in line:
                    return driver, f"http://127.0.0.1:{int(line.split()[-1].rstrip(b'.'))}"
            await driver.wait()
    raise AssertionError("chromedriver does not start")


@contextlib.asynccontextmanager
async def chromium(*flags):
    """Run a browser with an empty profile meanwhile."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver, address = await _driver()
        try:
            browser = Browser(address)
            await browser.begin(*flags, profile=profile)
            try:
                yield browser
            finally:
                await browser.end()
        finally:
            driver.terminate()
            await driver.wait()
