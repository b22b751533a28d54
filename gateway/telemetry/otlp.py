"""Which exporters OpenTelemetry's own variables ask for; of traces and of metrics.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ has them all.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple, Self

from opentelemetry.sdk.resources import Resource

STOP_SECONDS: Final = 3.0
"""How long a stop waits for what is to be exported yet."""

CONSOLE: Final = "console"


class _Protocol(NamedTuple):
    """One that the SDK has an exporter for."""

    package: str
    endpoint: re.Pattern[str]
    usual: str
    """Where a collector has it by default."""
    compressions: tuple[str, ...]


_HTTP: Final = "http/protobuf"
_PROTOCOLS: Final = {
    _HTTP: _Protocol(
        "http",
        re.compile(r"https?://[^/\s]+\S*"),
        "http://127.0.0.1:4318",
        ("none", "gzip", "deflate"),
    ),
    "grpc": _Protocol("grpc", re.compile(r"\S+"), "http://127.0.0.1:4317", ("gzip",)),
}
_SECONDS: Final = re.compile(r"(?=.*[1-9])\d{1,6}(\.\d*)?")


class TelemetryWrong(ValueError):
    """A variable of OpenTelemetry is wrong; the message names it and its fix."""


def exporter_name(environ: Mapping[str, str], signal: str, others: tuple[str, ...] = ()) -> str:
    """Return which exporter a signal is to have: ``otlp``, ``console``, ``none`` or another.

    ``signal`` is TRACES or METRICS; ``others`` it may have too.
    Empty where nothing is said of it. Raises TelemetryWrong.
    """
    variable = f"OTEL_{signal}_EXPORTER"
    name = environ.get(variable, "")
    known = ("otlp", CONSOLE, "none", *others)
    if name and name not in known:
        raise TelemetryWrong(f"{variable}: {name} is unknown; give {_either(known)}")
    if name == "none" or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return "none"
    return name


def otlp_exporter(environ: Mapping[str, str], signal: str, module: str, class_: str) -> Any:
    """Return the exporter of a signal by OTLP; its protocol is as the variables say.

    Raises TelemetryWrong.
    """
    variable, given = _said(environ, signal, "PROTOCOL")
    protocol = _PROTOCOLS.get(given or _HTTP)
    if protocol is None:
        raise TelemetryWrong(f"{variable}: {given} is unknown; give {_either((*_PROTOCOLS,))}")
    _check(environ, signal, protocol)
    try:
        # Not before it is asked for: it is long to import.
        found: Any = import_module(f"opentelemetry.exporter.otlp.proto.{protocol.package}.{module}")
    except ImportError:
        raise TelemetryWrong(
            f'{variable}: grpc needs the extra otlp-grpc; pip install "wechat-gateway[otlp-grpc]", '
            "or give http/protobuf"
        ) from None
    return getattr(found, class_)()


def _check(environ: Mapping[str, str], signal: str, protocol: _Protocol) -> None:
    """Raise TelemetryWrong where the exporter would fail with each export, or take no notice."""
    variable, endpoint = _said(environ, signal, "ENDPOINT")
    if endpoint and not protocol.endpoint.fullmatch(endpoint):
        # Not repeated: there may be a password in it.
        raise TelemetryWrong(f"{variable}: not a URL; give one such as {protocol.usual}")
    variable, timeout = _said(environ, signal, "TIMEOUT")
    if timeout and not _SECONDS.fullmatch(timeout):
        raise TelemetryWrong(f"{variable}: {timeout}; give seconds, such as 10")
    variable, compression = _said(environ, signal, "COMPRESSION")
    if compression and compression.lower() not in protocol.compressions:
        raise TelemetryWrong(
            f"{variable}: {compression} is unknown; give {_either(protocol.compressions)}"
        )


def _said(environ: Mapping[str, str], signal: str, what: str) -> tuple[str, str]:
    """Return a variable of a signal's exporter and its value: its own before that of all."""
    own, of_all = f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}"
    variable = own if environ.get(own) else of_all
    return variable, environ.get(variable, "")


def resource_of(environ: Mapping[str, str], version: str, **more: str) -> Resource:
    """Return what is told of the process with all that it exports."""
    about = {"service.version": version, **more}
    if "OTEL_SERVICE_NAME" not in environ:
        about["service.name"] = "wechat-gateway"
    return _Resource.of(Resource.create(about))


class _Resource(Resource):
    """A resource that knows its hash: the encoder asks for it once a span, and works it out anew.

    https://github.com/open-telemetry/opentelemetry-python, Resource.__hash__: by way of JSON.
    """

    _hash: int

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """Return the same resource."""
        made = cls(resource.attributes, resource.schema_url)
        made._hash = hash(resource)
        return made

    def __hash__(self) -> int:
        return self._hash


def number_of(environ: Mapping[str, str], name: str, default: int) -> int:
    """Return a variable that is a whole number from 1 on; raise TelemetryWrong."""
    given = environ.get(name)
    if not given:
        return default
    if not given.isdecimal() or int(given) < 1:
        raise TelemetryWrong(f"{name}: {given}; give a whole number from 1 on")
    return int(given)


def _either(names: tuple[str, ...]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
