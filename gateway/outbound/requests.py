"""What somebody wants to be pushed, and the job that it becomes; nothing wrong is queued."""

import re
import time
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from os import urandom
from typing import Any, Final, Literal

import msgspec

from gateway.errors import PushRefused, TemplateWrong
from gateway.outbound.endpoints import given
from gateway.outbound.endpoints.messages import MASS_BY_OPEN_ID, MASS_BY_TAG
from gateway.outbound.jobs import PATHS, Channel, Job, Priority, job_id
from gateway.outbound.templates import LANGUAGE, MessageTemplate
from gateway.telemetry.tracing import current_origin

CUSTOM_TYPES: Final = frozenset(
    (
        *("text", "image", "voice", "video", "music", "news", "mpnews", "mpnewsarticle"),
        *("msgmenu", "wxcard", "miniprogrampage", "link"),
    )
)
"""Message types of customer service (PROTOCOL 7.3)."""

MASS_TYPES: Final = frozenset(("mpnews", "text", "voice", "image", "mpvideo", "wxcard"))
"""Message types of mass messages (PROTOCOL 7.2)."""

MAX_BODY: Final = 524_288
"""Bytes of a message; the longest are mass messages to 10,000 open ids."""

FARTHEST_SECONDS: Final = 366 * 86_400.0
"""How far ahead a message may be queued for."""

_OPEN_ID: Final = re.compile(r"[A-Za-z0-9_-]{10,64}")
_NAME: Final = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
"""What an idempotency key or a batch may be called."""


class MassTo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a mass message goes to: one of the three."""

    everybody: bool = False
    tag_id: int | None = None
    open_ids: tuple[str, ...] = ()
    """2 to 10,000."""


class PushRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message to be pushed: of a template, or of its own words by customer service or to many."""

    account: str = ""
    """Its name in the settings; may be left out where there is only one."""
    to: str = ""
    """The user's open id."""
    template: str = ""
    """The template's name: the file's, without .toml."""
    data: dict[str, Any] = {}
    """The template's variables."""
    language: str = LANGUAGE
    custom: dict[str, Any] | None = None
    """A customer-service message as WeChat has it, without touser:
    ``{"msgtype": "text", "text": {"content": "…"}}``."""
    mass: dict[str, Any] | None = None
    """A mass message in the same form; ``mass_to`` says to whom."""
    mass_to: MassTo | None = None
    idempotency_key: str | None = None
    """Of two requests of an account with the same key the first alone is queued."""
    priority: Literal["high", "normal", "low"] = "normal"
    not_before: float | None = None
    """Unix seconds."""
    expires_at: float | None = None
    """Unix seconds; what is not sent by then is not sent any more."""


class JobMaker:
    """Makes jobs of requests."""

    def __init__(
        self,
        accounts: Collection[str],
        templates: Mapping[str, MessageTemplate],
        *,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = urandom,
    ) -> None:
        """``accounts`` are those that can push; ``random`` gives so many random bytes."""
        self._accounts = sorted(accounts)
        self._templates = templates
        self._clock = clock
        self._random = random

    def make(self, request: PushRequest, *, batch: str | None = None) -> Job:
        """Return the job of a request; raise PushRefused with a line for each thing wrong."""
        wrong: list[str] = []
        now = self._clock()
        account = self._account(request, wrong)
        _check(request, batch, now, wrong)
        job = Job(
            id=job_id(now, self._random(10)),
            account=account,
            channel=Channel.TEMPLATE,
            open_id=request.to,
            template=request.template,
            template_id="",
            path="",
            body=b"",
            created_at=now,
            priority=Priority[request.priority.upper()],
            not_before=now if request.not_before is None else request.not_before,
            expires_at=request.expires_at,
            idempotency_key=request.idempotency_key,
            fingerprint=_fingerprint(request, account),
            batch=batch,
            trace=current_origin(),
        )
        job = self._filled(job, request, wrong)
        if len(job.body) > MAX_BODY:
            wrong.append(f"the message: {len(job.body):,} bytes; give {MAX_BODY:,} at most")
        if wrong:
            raise PushRefused(*wrong)
        return job

    def _account(self, request: PushRequest, wrong: list[str]) -> str:
        if not request.account and len(self._accounts) == 1:
            return self._accounts[0]
        if request.account not in self._accounts:
            known = ", ".join(self._accounts) or "none, for none has an app_secret"
            said = f"there is none called {request.account}" if request.account else "missing"
            wrong.append(f"account: {said}; there are: {known}")
        return request.account

    def _filled(self, job: Job, request: PushRequest, wrong: list[str]) -> Job:
        """Return the job with what is sent."""
        if request.template:
            return self._templated(job, request, wrong)
        if request.custom is not None:
            return _custom(job, request.custom, wrong)
        if request.mass is not None:
            return _mass(job, request.mass, request.mass_to, wrong)
        return job

    def _templated(self, job: Job, request: PushRequest, wrong: list[str]) -> Job:
        template = self._templates.get(request.template)
        if template is None:
            known = ", ".join(self._templates) or "none; see push.templates"
            wrong.append(f"template: there is none called {request.template}; there are: {known}")
            return job
        try:
            rendered = template.render(request.data, request.language)
        except TemplateWrong as error:
            wrong += error.args
            return job
        page = rendered.page and given(appid=rendered.page.app_id, pagepath=rendered.page.path)
        is_template = template.channel is Channel.TEMPLATE
        link = "url" if is_template else "page"
        is_mini_program = template.channel is Channel.MINI_PROGRAM
        if is_mini_program:
            page, url = None, rendered.page.path if rendered.page else None
        else:
            url = rendered.url
        body = given(
            touser=request.to,
            template_id=rendered.template_id,
            miniprogram=page,
            # WeChat keeps repeats of it apart by this, for 10 minutes (PROTOCOL 7.2).
            client_msg_id=job.id if is_template else None,
            data={name: {"value": value} for name, value in rendered.data.items()},
            **{link: url},
        )
        return job._replace(
            channel=template.channel,
            template_id=rendered.template_id,
            path=PATHS[template.channel],
            body=msgspec.json.encode(body),
        )


def _check(request: PushRequest, batch: str | None, now: float, wrong: list[str]) -> None:
    """Add a line for each thing that is wrong whatever the message says."""
    kinds = (request.template or None, request.custom, request.mass)
    if sum(kind is not None for kind in kinds) != 1:
        wrong.append("template: give one of template, custom and mass")
    if request.mass is None and not _OPEN_ID.fullmatch(request.to):
        wrong.append("to: no open id; it is of letters, digits, - and _, such as oUser…")
    if request.mass is not None and request.to:
        wrong.append("to: a mass message has none; say in mass_to to whom it goes")
    for name, value in (("idempotency_key", request.idempotency_key), ("batch", batch)):
        if value is not None and not _NAME.fullmatch(value):
            wrong.append(f"{name}: give 1 to 128 letters, digits and signs of ASCII")
    for name, moment in (("not_before", request.not_before), ("expires_at", request.expires_at)):
        if moment is not None and not 0 <= moment <= now + FARTHEST_SECONDS:
            wrong.append(f"{name}: is more than a year ahead, or no time; give Unix seconds")
    if request.expires_at is not None and request.expires_at <= now:
        wrong.append("expires_at: is past; give Unix seconds to come")
    elif request.expires_at is not None and request.expires_at <= (request.not_before or now):
        wrong.append("expires_at: is not later than not_before")


def _custom(job: Job, message: Mapping[str, Any], wrong: list[str]) -> Job:
    kind = _kind("custom", message, CUSTOM_TYPES, ("customservice",), wrong)
    if not kind:
        return job
    body = msgspec.json.encode({"touser": job.open_id, **message})
    return job._replace(channel=Channel.CUSTOM, path=PATHS[Channel.CUSTOM], body=body)


def _mass(job: Job, message: Mapping[str, Any], to: MassTo | None, wrong: list[str]) -> Job:
    kind = _kind("mass", message, MASS_TYPES, ("send_ignore_reprint",), wrong)
    ways = 0 if to is None else to.everybody + (to.tag_id is not None) + bool(to.open_ids)
    if to is None or ways != 1:
        wrong.append("mass_to: give one of everybody, tag_id and open_ids")
        return job
    if to.open_ids and not 2 <= len(to.open_ids) <= 10_000:
        wrong.append("mass_to.open_ids: give 2 to 10,000")
    if not kind:
        return job
    # Pictures have a name of their own for several (PROTOCOL 7.2).
    named = {"images" if name == kind == "image" else name: v for name, v in message.items()}
    audience: dict[str, Any] = {"filter": given(is_to_all=to.everybody, tag_id=to.tag_id)}
    if to.open_ids:
        audience = {"touser": to.open_ids}
    # At most 32 bytes, by one of two pages (PROTOCOL 7.2): an id's digits.
    body = {**audience, **named, "clientmsgid": job.id.replace("-", "")}
    path = MASS_BY_OPEN_ID if to.open_ids else MASS_BY_TAG
    return job._replace(channel=Channel.MASS, path=path, body=msgspec.json.encode(body))


def _kind(
    name: str,
    message: Mapping[str, Any],
    types: Collection[str],
    others: Collection[str],
    wrong: list[str],
) -> str:
    """Return a message's type; empty where something is wrong with it."""
    kind = message.get("msgtype")
    if not isinstance(kind, str) or kind not in types:
        wrong.append(f"{name}.msgtype: give one of: {', '.join(sorted(types))}")
        return ""
    content = message.get("images" if name == "mass" and kind == "image" else kind)
    if content is None:
        content = message.get(kind)
    if not isinstance(content, dict) or not content:
        wrong.append(f"{name}.{kind}: missing; what a {kind} message has stands there")
        return ""
    for unknown in message.keys() - {"msgtype", kind, f"{kind}s", *others}:
        wrong.append(f"{name}.{unknown}: a {kind} message has none")
        return ""
    return kind


def _fingerprint(request: PushRequest, account: str) -> bytes:
    """Return what tells the request from another one with its idempotency key."""
    said = msgspec.structs.replace(request, idempotency_key=None, account=account)
    return blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=16).digest()
