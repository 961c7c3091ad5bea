"""A person at a real browser: Chromium opens an address of the directory and shows its pages; what they ask is typed into their
fields, and the button is pressed. Prints the address at which it ends, as somebody copies it.

Arguments: as those of browser.py.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from urllib.parse import urlsplit

address, name, password, port, _authority, control = sys.argv[1:]
END = "/common/oauth2/nativeclient"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def driver(method, path, body=None):
    """One command of https://www.w3.org/TR/webdriver2/."""
    connection = http.client.HTTPConnection("127.0.0.1", driver_port, timeout=60)
    connection.request(method, path, None if body is None else json.dumps(body))
    value = json.loads(connection.getresponse().read())["value"]
    if isinstance(value, dict) and "error" in value:
        raise RuntimeError(f"{method} {path}: {value['error']}: {value['message']}")
    return value


def until(what, find):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if found := find():
                return found
        except (OSError, RuntimeError):
            pass
        time.sleep(0.1)
    sys.exit(f"waited for {what}")


def second_factor():
    with socket.socket(socket.AF_UNIX) as order:
        order.connect(control)
        order.sendall(json.dumps({"do": "second-factor-code", "upn": name}).encode() + b"\n")
        return json.loads(order.makefile().readline())["ok"]


def sign_in(session):
    driver("POST", f"{session}/url", {"url": address})
    asked = []
    for _ in range(8):
        where = driver("GET", f"{session}/url")
        if urlsplit(where).path == END:
            # What a person has seen by then.
            assert "Enter the code sent to your telephone" in asked, asked
            print(where)
            return
        before = driver("GET", f"{session}/source")
        asked.append(driver("GET", f"{session}/title"))
        fields = driver("POST", f"{session}/elements", {"using": "css selector", "value": "input:not([type=hidden])"})
        for field in fields:
            place = f"{session}/element/{field[ELEMENT]}"
            kind = driver("GET", f"{place}/attribute/name")
            if kind == "login" and driver("GET", f"{place}/property/value"):
                continue
            typed = {"login": lambda: name, "passwd": lambda: password, "otc": second_factor}[kind]()
            driver("POST", f"{place}/value", {"text": typed})
        button = driver("POST", f"{session}/element", {"using": "css selector", "value": "button"})
        driver("POST", f"{session}/element/{button[ELEMENT]}/click", {})
        until("the next page", lambda: driver("GET", f"{session}/source") != before)
    sys.exit(f"the pages go on for ever: {asked}")


driver_port = free_port()
with tempfile.TemporaryDirectory() as home:
    # A group of its own, so that no helper of the browser outlives the test.
    process = subprocess.Popen(
        ["chromedriver", f"--port={driver_port}"],
        env={"PATH": os.environ["PATH"], "HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until("chromedriver", lambda: driver("GET", "/status")["ready"])
        # Root runs it, and whom the browser trusts is not what is tested. Each host is the stand-in.
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options.append(f"--host-resolver-rules=MAP *:443 127.0.0.1:{port}")
        capabilities = {"acceptInsecureCerts": True, "goog:chromeOptions": {"args": options}}
        session = driver("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        session = f"/session/{session['sessionId']}"
        sign_in(session)
        driver("DELETE", session)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
