"""The pages that users see where a sign-in came to nothing: Chinese first, English below."""

from html import escape
from typing import Final, NamedTuple

from litestar import MediaType, Response

from gateway.identity.failures import SignInProblem


class _Words(NamedTuple):
    status: int
    title: str
    text: str
    english: str


_WORDS: Final = {
    SignInProblem.REFUSED: _Words(
        200,
        "你没有同意登录",
        "没有你的同意，就不会登录。可以关闭此页，或者重新登录。",
        "You did not agree, so you are not signed in. Close this page, or sign in again.",
    ),
    SignInProblem.STATE: _Words(
        400,
        "这次登录已经失效",
        "它可能已经用过、超过了十分钟，或者不是在这个浏览器里开始的。请重新登录。",
        "This sign-in was used already, is too old, or began in another browser. Sign in again.",
    ),
    SignInProblem.CODE: _Words(
        400,
        "登录没有完成",
        "微信不再接受这次的授权码。请重新登录。",
        "WeChat does not take this code any more. Sign in again.",
    ),
    SignInProblem.BUSY: _Words(
        503,
        "暂时无法登录",
        "微信或我们的系统现在没有回应。请稍候刷新此页。",
        "WeChat, or our system, does not answer at the moment. Reload this page in a while.",
    ),
    SignInProblem.BLOCKED: _Words(
        403,
        "微信不允许这个账号登录",
        "请在微信里查看账号状态。",
        "WeChat does not let this user sign in. Look at your account's state in WeChat.",
    ),
    SignInProblem.SNAPSHOT: _Words(
        403,
        "这里是页面快照",
        "请点页面右下角的「使用完整服务」，然后再登录。",
        "This is a preview of the page. Tap 使用完整服务 in its lower right corner, then sign in.",
    ),
    SignInProblem.SETUP: _Words(
        503,
        "登录还没有设置好",
        "这不是你的问题，运营者需要处理。",
        "This is not your fault: the operator has to mend something.",
    ),
    SignInProblem.REDIRECT: _Words(
        400,
        "链接不正确",
        "登录后不能回到这个地址。",
        "A sign-in does not lead back to this address.",
    ),
    SignInProblem.SCOPE: _Words(
        400,
        "链接不正确",
        "请求的授权范围不存在。",
        "There is no such scope.",
    ),
}

_PAGE: Final = """\
<!doctype html>
<html lang="zh">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
body {{ margin: 15vh auto; max-width: 22rem; padding: 0 1.5rem; color: #222; background: #fff;
  font: 1rem/1.6 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; text-align: center }}
h1 {{ font-size: 1.3rem; font-weight: 600 }}
p[lang], code {{ color: #777; font-size: .85rem; overflow-wrap: anywhere }}
a {{ display: block; margin: 2rem 0; padding: .7rem; border-radius: .4rem; background: #06843f;
  color: #fff; text-decoration: none }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #191919 }} }}
</style>
<h1>{title}</h1>
<p>{text}</p>
<p lang="en">{english}</p>
{more}
"""

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every page and redirect here: neither the code nor the state goes elsewhere."""


def page(problem: SignInProblem, *, again: str | None = None, said: str = "") -> Response[str]:
    """Return the page that tells of a problem; ``again`` is the URL that begins anew."""
    words = _WORDS[problem]
    more = [f'<a id="again" href="{escape(again)}">重新登录 Sign in</a>'] if again else []
    more += [f"<p><code>{escape(said)}</code></p>"] if said else []
    headers = {**HEADERS, "retry-after": "5"} if words.status == 503 else HEADERS
    return Response(
        _PAGE.format(
            title=words.title, text=words.text, english=words.english, more="\n".join(more)
        ),
        status_code=words.status,
        media_type=MediaType.HTML,
        headers=headers,
    )
