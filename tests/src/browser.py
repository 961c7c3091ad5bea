"""A person at a browser: opens an address of the directory, fills in what the pages ask, and prints where it ends. With
"token" in the place of an address, prints a token that name and password are worth.

Arguments: address, name, password, port and authority of the stand-in, and the socket that knows the second factor.
"""

import http.client
import json
import socket
import ssl
import sys
from urllib.parse import urlencode, urlsplit

address, name, password, port, authority, control = sys.argv[1:]
END = "/common/oauth2/nativeclient"
cookies = {}


class Connection(http.client.HTTPSConnection):
    """To the stand-in, whichever host it stands for."""

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", int(port)))
        self.sock = ssl.create_default_context(cafile=authority).wrap_socket(plain, server_hostname=self.host)


def fetch(method, url, body=None):
    parts = urlsplit(url)
    connection = Connection(parts.hostname, timeout=30)
    headers = {"Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items())}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, f"{parts.path}?{parts.query}", body, headers)
    response = connection.getresponse()
    for line in response.headers.get_all("Set-Cookie") or []:
        key, _, value = line.split(";")[0].partition("=")
        cookies[key] = value
    return response, response.read().decode()


def second_factor():
    with socket.socket(socket.AF_UNIX) as order:
        order.connect(control)
        order.sendall(json.dumps({"do": "second-factor-code", "upn": name}).encode() + b"\n")
        return json.loads(order.makefile().readline())["ok"]


def answer(config):
    if config.get("sErrorCode"):
        sys.exit(f"the page refuses: {config['sErrorCode']}")
    fields = {"flowToken": config["sFT"], "canary": config["canary"]}
    page = config["pgid"]
    if page == "ConvergedSignIn":
        fields.update(login=name, passwd=password)
    elif page == "ConvergedTFA":
        fields.update(otc=second_factor())
    elif page == "KmsiInterrupt":
        fields.update(LoginOptions="1")
    else:
        sys.exit(f"what is {page}?")
    return urlencode(fields)


if address == "token":
    form = {
        "grant_type": "password",
        "client_id": "29d9ed98-a469-4536-ade2-f981bc1d605e",
        "resource": "urn:ms-drs:enterpriseregistration.windows.net",
        "username": name,
        "password": password,
    }
    _, text = fetch("POST", "https://login.microsoftonline.com/common/oauth2/token", urlencode(form))
    print(json.loads(text)["access_token"])
    sys.exit()

response, text = fetch("GET", address)
for _ in range(10):
    location = response.headers.get("Location")
    if location and urlsplit(location).path == END:
        print(location)
        sys.exit()
    if location:
        response, text = fetch("GET", location)
        continue
    config = json.loads(text.split("$Config=")[1].split(";\n//]]></script>")[0])
    host = urlsplit(address).netloc
    response, text = fetch("POST", f"https://{host}{config['urlPost']}", answer(config))
sys.exit("the pages go on for ever")
