"""The pages that a person sees: who asks for what, and what is wrong with a link."""

from collections.abc import Iterable
from html import escape
from typing import Final

_STYLE: Final = """
*{box-sizing:border-box}
body{margin:0;min-height:100vh;background:#ededed;color:#191919;
font:16px/1.5 -apple-system,"PingFang SC","Microsoft YaHei",system-ui,sans-serif}
main{max-width:26rem;min-height:100vh;margin:0 auto;padding:2.5rem 1.5rem;background:#fff;
display:flex;flex-direction:column}
small{color:#737373;font-size:.8rem;font-weight:400}
h1{margin:.25rem 0 2rem;font-size:1.35rem;line-height:1.35;overflow-wrap:anywhere}
h1 small,label small{display:block}
.logo{width:4rem;height:4rem;border-radius:.9rem;background:#07c160;color:#fff;font-size:1.9rem;
display:flex;align-items:center;justify-content:center;margin-bottom:1rem}
.wrong .logo{background:#fa5151}
ul{margin:0 0 2rem;padding:1rem 0 0;border-top:1px solid #e5e5e5;list-style:none}
li{padding-left:1.5rem;position:relative}
li::before{content:"✓";position:absolute;left:0;color:#07c160}
li small{display:block}
select{width:100%;margin-top:.5rem;padding:.75rem;border:1px solid #d5d5d5;border-radius:.5rem;
background:#fff;color:inherit;font:inherit}
.answers{display:flex;gap:.75rem;margin-top:auto;padding-top:2.5rem}
button{flex:1;padding:.7rem;border:0;border-radius:.5rem;font:inherit;font-weight:600;
cursor:pointer}
button small{color:inherit;opacity:.8}
button:focus-visible,select:focus-visible{outline:3px solid #9be3bd;outline-offset:2px}
#agree{background:#07833f;color:#fff}
#refuse{background:#f2f2f2;color:#066b34}
footer{margin-top:1.5rem;text-align:center}
"""

_PAGE: Final = """<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main class="{kind}">
{content}
<footer><small>模拟的微信，并非真实平台 · a simulated WeChat, on this machine</small></footer>
</main>
</body>
</html>
"""

_QUESTION: Final = """<div class="logo" aria-hidden="true">{letter}</div>
<h1>{name} 申请获得以下权限<small>asks for the following</small></h1>
<ul><li>{asked}<small>{in_english}</small></li></ul>
<form method="get" action="{action}">
{hidden}
<label for="person">以谁的身份登录<small>Who you are: everybody here is made up</small></label>
<select id="person" name="person">
{people}
</select>
<div class="answers">
<button id="refuse" name="answer" value="refuse">拒绝 <small>Refuse</small></button>
<button id="agree" name="answer" value="agree">同意 <small>Agree</small></button>
</div>
</form>"""

_WRONG: Final = """<div class="logo" aria-hidden="true">!</div>
<h1>{said}{code}</h1>
<p>{why}</p>"""


def question(
    name: str,
    asked: tuple[str, str],
    action: str,
    hidden: Iterable[tuple[str, str]],
    people: Iterable[tuple[str, bool]],
) -> str:
    """Return the page that asks a person.

    ``name`` is the account's, ``asked`` what it wants, in Chinese and in English. The answer goes
    to ``action`` as ``answer``, agree or refuse, and ``person``, with the ``hidden`` pairs ahead.
    ``people`` are names, each with whether it is chosen at first.
    """
    inputs = (f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in hidden)
    options = (
        f'<option value="{escape(one)}"{" selected" if chosen else ""}>{escape(one)}</option>'
        for one, chosen in people
    )
    content = _QUESTION.format(
        letter=escape(name[0].upper()),
        name=escape(name),
        asked=escape(asked[0]),
        in_english=escape(asked[1]),
        action=escape(action),
        hidden="\n".join(inputs),
        people="\n".join(options),
    )
    return _page("微信授权 · WeChat", "asks", content)


def wrong(said: str, code: int | None, why: str) -> str:
    """Return the page of a link that is refused: the platform's words and code, and our reason."""
    told = "" if code is None else f"<small>错误码 code: {code}</small>"
    content = _WRONG.format(said=escape(said), code=told, why=escape(why))
    return _page("出错了 · Error", "wrong", content)


def _page(title: str, kind: str, content: str) -> str:
    return _PAGE.format(title=title, style=_STYLE, kind=kind, content=content)
