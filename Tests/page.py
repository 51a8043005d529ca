"""Tries the page of an audit in a browser, over the pipe of Chromium's own protocol. See page.sh.

    python3 page.py BROWSER REPORT.html [SCREENSHOT_FOLDER]
"""

import base64
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time

SECONDS = 60


class Failure(Exception):
    """What the page does wrong, in one line."""


class Browser:
    """One page of a browser without a window."""

    def __init__(self, program, profile):
        to_child, self.out = os.pipe()
        self.into, from_child = os.pipe()
        # The protocol is spoken on the descriptors 3 and 4.
        shell = f'exec "$0" "$@" 3<&{to_child} 4>&{from_child}'
        arguments = [
            "--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
            f"--user-data-dir={profile}", "about:blank",
            # Containers lack what the sandbox needs; the page is our own.
            "--no-sandbox",
        ]
        self.process = subprocess.Popen(
            ["bash", "-c", shell, program, *arguments], pass_fds=(to_child, from_child),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self.process.terminate()
        self.process.wait(SECONDS)

    def message(self):
        end = time.monotonic() + SECONDS
        while b"\0" not in self.buffer:
            if not select.select([self.into], [], [], max(0, end - time.monotonic()))[0]:
                raise Failure(f"the browser says nothing for {SECONDS} s")
            part = os.read(self.into, 1 << 20)
            if not part:
                raise Failure("the browser ended")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        while True:
            answer = self.message()
            if answer.get("id") != self.number:
                self.events.append(answer)
            elif "error" in answer:
                raise Failure(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.message())

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            reason = result["exceptionDetails"]["exception"].get("description", "")
            raise Failure(f"{expression}: {reason.splitlines()[0]}")
        return result["result"].get("value")

    def key(self, name, code=0):
        text = "\r" if name == "Enter" else ""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}))

    def drag(self, start, end, y):
        for kind, x in (("mousePressed", start), ("mouseMoved", (start + end) / 2), ("mouseMoved", end),
                        ("mouseReleased", end)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def click(self, selector):
        box = self.box(selector)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def box(self, selector):
        return self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect(); return {x: b.x, y: b.y, width: b.width, height: b.height}; })()")

    def open(self, address, width, height, is_phone=False, scheme="light", media=""):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone)
        self.call(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events = [event for event in self.events if event.get("method") != "Page.loadEventFired"]
        self.call("Page.navigate", url=address)
        self.wait("Page.loadEventFired")

    def photograph(self, path):
        height = min(self.value("document.documentElement.scrollHeight"), 16000)
        clip = {"x": 0, "y": 0, "width": self.value("innerWidth"), "height": height, "scale": 1}
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(picture))


def expect(found, wanted, what):
    if found != wanted:
        raise Failure(f"{what}: expected {wanted}, found {found}")


def check_events(browser, address):
    """No errors, and no request but for the page itself and what it holds."""
    for event in browser.events:
        method, details = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            exception = details["exceptionDetails"]
            reason = exception.get("exception", {}).get("description", exception["text"])
            raise Failure(f"error in the script: {reason.splitlines()[0]}")
        if method == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning", "assert"):
            raise Failure(f"console: {details['type']}: {details['args'][0].get('value')}")
        if method == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
            raise Failure(f"browser's log: {details['entry']['text']}")
        if method == "Network.requestWillBeSent":
            asked = details["request"]["url"].split("#")[0]
            if asked not in (address, "about:blank") and not asked.startswith("data:"):
                raise Failure(f"request to outside: {asked}")


def check_layout(browser, what, width):
    """Nothing sticks out of a window of this width, and all pictures are there."""
    # A telephone's window grows with what sticks out, so its own width says nothing.
    wide = browser.value(
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg') &&"
        " !e.matches('.slide, .unseen') && e.getBoundingClientRect().right >"
        f" {width + 1}).slice(0, 3)"
        ".map(e => e.tagName + '.' + e.className)")
    expect(wide, [], f"{what}: elements that stick out")
    found = browser.value("document.documentElement.scrollWidth")
    if not found <= width:
        raise Failure(f"{what}: the page is wider than the window: expected at most {width}, found {found}")
    broken = browser.value("[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.alt)")
    expect(broken, [], f"{what}: pictures that are not shown")


def check_slider(browser, what, width):
    """By mouse and by keyboard, the edge of the picture after stands where it was put."""
    if not browser.value("document.querySelectorAll('.slide').length"):
        return 0
    clip = ("parseFloat(getComputedStyle(document.querySelector('.layer-after')).clipPath"
            ".match(/ ([\\d.]+)%\\)$/)[1])")
    box = browser.box(".stage")
    y = box["y"] + box["height"] * 0.6
    browser.drag(box["x"] + box["width"] * 0.5, box["x"] + box["width"] * 0.25, y)
    found = browser.value(clip)
    if not abs(found - 25) < 3:
        raise Failure(f"{what}: slider dragged to 25 %: the picture after begins at {found} %")
    browser.value("document.querySelector('.slide').focus()")
    for _ in range(5):
        browser.key("ArrowRight", 39)
    moved = browser.value(clip)
    if not abs(moved - found - 5) < 0.6:
        raise Failure(f"{what}: slider moved by 5 keys: from {found} % to {moved} %")
    shown = "[...document.querySelector('.stage').querySelectorAll('.layer')].map(e => getComputedStyle(e).display)"
    for view, wanted in (("difference", ["none", "none", "block"]), ("pair", ["block", "block", "none"]),
                         ("slider", ["block", "block", "none"])):
        browser.click(f".views input[value={view}] + span")
        expect(browser.value(shown), wanted, f"{what}: layers in the view {view}")
    check_layout(browser, what, width)
    return browser.value("document.querySelectorAll('.stage').length")


def check_tables(browser, what):
    """Heads sort, once downwards and once upwards, also by the keyboard; the filter hides rows."""
    count = browser.value("document.querySelectorAll('table.sortable').length")
    for table in range(count):
        columns = browser.value(f"document.querySelectorAll('table.sortable')[{table}].tHead.rows[0].cells.length")
        for column in range(columns):
            head = f"document.querySelectorAll('table.sortable')[{table}].tHead.rows[0].cells[{column}]"
            keys = (f"[...document.querySelectorAll('table.sortable')[{table}].tBodies[0].rows]"
                    f".map(r => r.cells[{column}].dataset.key ?? r.cells[{column}].textContent)")
            before = sorted(browser.value(keys))
            for turn in range(2):
                browser.value(f"{head}.querySelector('button').focus()")
                browser.key("Enter", 13)
                order = browser.value(f"{head}.getAttribute('aria-sort')")
                found = browser.value(keys)
                expect(sorted(found), before, f"{what}: rows after sorting")
                if browser.value(f"{head}.classList.contains('n')"):
                    numbers = [float(key.replace("Infinity", "inf")) for key in found]
                    numbers = [number for number in numbers if number == number]
                    wanted, is_sorted = ["descending", "ascending"][turn], numbers == sorted(numbers, reverse=turn == 0)
                else:
                    collator = "new Intl.Collator('en', {numeric: true})"
                    wanted, sign = ["ascending", "descending"][turn], [1, -1][turn]
                    in_order = f"(e, i) => i === 0 || {sign} * c.compare(k[i - 1], e) <= 0"
                    is_sorted = browser.value(f"((k, c) => k.every({in_order}))({keys}, {collator})")
                expect(order, wanted, f"{what}: order of table {table + 1}, column {column + 1}")
                expect(is_sorted, True, f"{what}: whether table {table + 1} is sorted by column {column + 1}, {order}")
    rows = browser.value("document.querySelectorAll('.filtered tbody tr').length")
    if rows:
        browser.value("document.querySelector('.filter input').focus()")
        browser.call("Input.insertText", text=browser.value("document.querySelector('.filtered tbody td').textContent"))
        left = browser.value("[...document.querySelectorAll('.filtered tbody tr')].filter(r => !r.hidden).length")
        if not 1 <= left <= max(1, rows - 1):
            raise Failure(f"{what}: filter by a whole name: {left} of {rows} rows are left")
        browser.value("(() => { const f = document.querySelector('.filter input'); f.value = '';"
                      " f.dispatchEvent(new Event('input')); })()")
        left = browser.value("[...document.querySelectorAll('.filtered tbody tr')].filter(r => !r.hidden).length")
        expect(left, rows, f"{what}: rows without a filter")
    return rows


def check_print(browser, width):
    """On paper nothing is cut, hidden or dark."""
    cut = browser.value(
        "[...document.querySelectorAll('.layer-after, .layer-before')].map(e => getComputedStyle(e))"
        ".filter(s => s.clipPath !== 'none' || s.display === 'none').length")
    expect(cut, 0, "print: pictures that are cut or hidden")
    expect(browser.value("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)", "print: ground")
    check_layout(browser, "print", width)


def main(program, report, folder):
    address = pathlib.Path(report).as_uri()
    with tempfile.TemporaryDirectory(prefix="lathe-page.", ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            pictures = rows = 0
            for what, width, height, is_phone, scheme, media in (
                    ("desktop-light", 1280, 900, False, "light", ""), ("desktop-dark", 1280, 900, False, "dark", ""),
                    ("phone-light", 390, 844, True, "light", ""), ("phone-dark", 390, 844, True, "dark", ""),
                    ("print", 720, 1000, False, "dark", "print")):
                browser.open(address, width, height, is_phone, scheme, media)
                check_events(browser, address)
                check_layout(browser, what, width)
                if folder:
                    browser.photograph(folder / f"{what}.png")
                if media == "print":
                    check_print(browser, width)
                elif scheme == "light":
                    pictures = check_slider(browser, what, width)
                    rows = check_tables(browser, what)
                check_events(browser, address)
            if folder:
                paper = browser.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"]
                (folder / "print.pdf").write_bytes(base64.b64decode(paper))
        finally:
            browser.close()
    print(f"the page works: {pictures} pairs of pictures, {rows} targets")


try:
    main(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None)
except Failure as failure:
    sys.exit(f"{sys.argv[2]}: {failure}")
