"""The endpoints that reach nobody: templates, users, tags, menus, QR codes, quotas (PROTOCOL 7)."""

import base64
from collections.abc import Callable, Mapping
from typing import Final

from gateway.simulator.api.sending import Answer, Body, Failed
from gateway.simulator.api.world import Account, Template, User, World

OK: Final[Answer] = {"errcode": 0, "errmsg": "ok"}

PAGE: Final = 10_000
"""Open ids in one answer."""

_LONGEST_QR: Final = 2_592_000


def list_templates(_world: World, account: Account, _body: Body) -> Answer:
    """List the account's templates."""
    shown = [
        {
            "template_id": one.id,
            "title": one.title,
            "primary_industry": "IT科技",
            "deputy_industry": "互联网|电子商务",
            "content": one.content,
            "example": "",
        }
        for one in account.templates.values()
    ]
    return {"template_list": shown}


def add_template(world: World, account: Account, body: Body) -> Answer:
    """Add a template from the library; here its fields are the keywords that were chosen."""
    if not body.get("template_id_short"):
        raise Failed(40037, "invalid template_id_short")
    names = body.get("keyword_name_list") or ["内容"]
    content = "\n".join(f"{name}: {{{{thing{n}.DATA}}}}" for n, name in enumerate(names, 1))
    template = Template(f"SIMULATED_{world.next_id()}", str(body["template_id_short"]), content)
    account.templates[template.id] = template
    return {**OK, "template_id": template.id}


def remove_template(_world: World, account: Account, body: Body) -> Answer:
    """Remove a template."""
    if account.templates.pop(str(body.get("template_id")), None) is None:
        raise Failed(40037, "invalid template_id")
    return OK


def show_user(world: World, account: Account, body: Body) -> Answer:
    """Tell what is known of one user."""
    return _shown(world, account, body.get("openid"))


def show_users(world: World, account: Account, body: Body) -> Answer:
    """Tell what is known of up to 100 users."""
    wanted = body.get("user_list")
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= 100:
        raise Failed(40032, "invalid openid list size")
    return {"user_info_list": [_shown(world, account, one.get("openid")) for one in wanted]}


def list_users(_world: World, account: Account, body: Body) -> Answer:
    """List followers, 10,000 at a time."""
    names = sorted(name for name, user in account.users.items() if user.subscribed)
    return _page(names, str(body.get("next_openid", "")))


def change_remark(_world: World, account: Account, body: Body) -> Answer:
    """Give a user a remark."""
    remark = str(body.get("remark", ""))
    if len(remark) >= 30:
        raise Failed(40078, "invalid remark")
    _user(account, body.get("openid")).remark = remark
    return OK


def create_tag(_world: World, account: Account, body: Body) -> Answer:
    """Make a tag."""
    name = str((body.get("tag") or {}).get("name", ""))
    if not 1 <= len(name) <= 30:
        raise Failed(45158, "tag name too long")
    if name in account.tags.values():
        raise Failed(45157, "tag name already exists")
    number = max(account.tags, default=99) + 1 if max(account.tags, default=0) > 99 else 100
    account.tags[number] = name
    return {"tag": {"id": number, "name": name}}


def list_tags(_world: World, account: Account, _body: Body) -> Answer:
    """List the tags, with how many users have each."""
    counts = {n: sum(n in user.tags for user in account.users.values()) for n in account.tags}
    shown = [{"id": n, "name": name, "count": counts[n]} for n, name in account.tags.items()]
    return {"tags": shown}


def tag_users(_world: World, account: Account, body: Body) -> Answer:
    """Give up to 50 users a tag."""
    for user in _tagged(account, body):
        user.tags.add(body["tagid"])
    return OK


def untag_users(_world: World, account: Account, body: Body) -> Answer:
    """Take a tag from up to 50 users."""
    for user in _tagged(account, body):
        user.tags.discard(body["tagid"])
    return OK


def tag_members(_world: World, account: Account, body: Body) -> Answer:
    """List who has a tag."""
    wanted = body.get("tagid")
    names = sorted(name for name, user in account.users.items() if wanted in user.tags)
    answer = _page(names, str(body.get("next_openid", "")))
    del answer["total"]
    return answer


def tags_of_user(_world: World, account: Account, body: Body) -> Answer:
    """List a user's tags."""
    return {"tagid_list": sorted(_user(account, body.get("openid")).tags)}


def create_qrcode(world: World, _account: Account, body: Body) -> Answer:
    """Make a QR code, for a while or for good."""
    name, scene = body.get("action_name"), (body.get("action_info") or {}).get("scene") or {}
    text, number = scene.get("scene_str"), scene.get("scene_id")
    if name in ("QR_STR_SCENE", "QR_LIMIT_STR_SCENE"):
        sound = isinstance(text, str) and 1 <= len(text) <= 64
    elif name in ("QR_SCENE", "QR_LIMIT_SCENE"):
        most = 100_000 if name == "QR_LIMIT_SCENE" else (1 << 32) - 1
        sound = isinstance(number, int) and 1 <= number <= most
    else:
        raise Failed(40053, "invalid action info")
    if not sound:
        raise Failed(40053, "invalid action info")
    ticket = base64.b64encode(f"gQ{world.next_id()}".encode()).decode()
    answer = {"ticket": ticket, "url": f"http://weixin.qq.com/q/{ticket[:20]}"}
    if "LIMIT" in str(name):
        return answer
    return {**answer, "expire_seconds": min(int(body.get("expire_seconds", 60)), _LONGEST_QR)}


def create_menu(world: World, account: Account, body: Body) -> Answer:
    """Set the menu: 3 buttons of 5 each."""
    buttons = body.get("button")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
        raise Failed(40016, "invalid button size")
    if any(len(button.get("sub_button", ())) > 5 for button in buttons):
        raise Failed(40023, "invalid sub button size")
    account.menu = {"button": buttons, "menuid": world.next_id() % (1 << 31)}
    return OK


def show_menu(_world: World, account: Account, _body: Body) -> Answer:
    """Tell the menu."""
    if account.menu is None:
        raise Failed(46003, "menu no exist")
    return {"menu": account.menu, "conditionalmenu": []}


def remove_menu(_world: World, account: Account, _body: Body) -> Answer:
    """Remove the menu."""
    account.menu = None
    return OK


def show_quota(_world: World, account: Account, body: Body) -> Answer:
    """Tell what is left of an endpoint's calls."""
    path = str(body.get("cgi_path"))
    quota = account.quotas.limits.get(path)
    if quota is None or quota.daily is None:
        raise Failed(76021, "cgi_path not found, please check")
    used = account.quotas.used(path)
    left = {"daily_limit": quota.daily, "used": used, "remain": quota.daily - used}
    rate = {"call_count": quota.per_minute or 1000, "refresh_second": 60}
    return {**OK, "quota": left, "rate_limit": rate}


def clear_quota(_world: World, account: Account, body: Body) -> Answer:
    """Let all quotas begin anew."""
    if body.get("appid") != account.app_id:
        raise Failed(40013, "invalid appid")
    account.quotas.clear()
    return OK


def list_addresses(_world: World, _account: Account, _body: Body) -> Answer:
    """List the addresses of WeChat's servers: here it is one."""
    return {"ip_list": ["127.0.0.1"]}


def get_ticket(world: World, account: Account, body: Body) -> Answer:
    """Give a ticket to sign pages with; anew every two hours."""
    if body.get("type") not in ("jsapi", "wx_card"):
        raise Failed(40097, "invalid args")
    period = int(world.clock()) // 7200
    left = 7200 - int(world.clock()) % 7200
    return {**OK, "ticket": f"{body['type']}-{account.app_id}-{period}", "expires_in": left}


def _user(account: Account, open_id: object) -> User:
    user = account.user(open_id)
    if user is None:
        raise Failed(40003, "invalid openid")
    return user


def _tagged(account: Account, body: Body) -> list[User]:
    names = body.get("openid_list")
    if not isinstance(names, list) or not 1 <= len(names) <= 50:
        raise Failed(40032, "invalid openid list size")
    if body.get("tagid") not in account.tags:
        raise Failed(45159, "invalid tag")
    return [_user(account, name) for name in names]


def _shown(world: World, account: Account, open_id: object) -> Answer:
    user = _user(account, open_id)
    union_id = world.person(account, str(open_id)).union_id
    if not user.subscribed:
        return {"subscribe": 0, "openid": open_id, "unionid": union_id}
    return {
        "subscribe": 1,
        "openid": open_id,
        "language": "zh_CN",
        "subscribe_time": 1_700_000_000,
        "unionid": union_id,
        "remark": user.remark,
        "groupid": 0,
        "tagid_list": sorted(user.tags),
        "subscribe_scene": "ADD_SCENE_SEARCH",
        "qr_scene": 0,
        "qr_scene_str": "",
    }


def _page(names: list[str], after: str) -> Answer:
    page = [name for name in names if name > after][:PAGE]
    answer: Answer = {"total": len(names), "count": len(page), "next_openid": ""}
    if page:
        answer |= {"data": {"openid": page}, "next_openid": page[-1]}
    return answer


MANAGING: Final[Mapping[str, Callable[[World, Account, Body], Answer]]] = {
    "/cgi-bin/ticket/getticket": get_ticket,
    "/cgi-bin/template/get_all_private_template": list_templates,
    "/cgi-bin/template/api_add_template": add_template,
    "/cgi-bin/template/del_private_template": remove_template,
    "/cgi-bin/user/info": show_user,
    "/cgi-bin/user/info/batchget": show_users,
    "/cgi-bin/user/get": list_users,
    "/cgi-bin/user/info/updateremark": change_remark,
    "/cgi-bin/tags/create": create_tag,
    "/cgi-bin/tags/get": list_tags,
    "/cgi-bin/tags/members/batchtagging": tag_users,
    "/cgi-bin/tags/members/batchuntagging": untag_users,
    "/cgi-bin/user/tag/get": tag_members,
    "/cgi-bin/tags/getidlist": tags_of_user,
    "/cgi-bin/qrcode/create": create_qrcode,
    "/cgi-bin/menu/create": create_menu,
    "/cgi-bin/menu/get": show_menu,
    "/cgi-bin/menu/delete": remove_menu,
    "/cgi-bin/openapi/quota/get": show_quota,
    "/cgi-bin/clear_quota": clear_quota,
    "/cgi-bin/getcallbackip": list_addresses,
    "/cgi-bin/get_api_domain_ip": list_addresses,
}
