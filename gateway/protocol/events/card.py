"""Cards and coupons, retired for new business and still pushed: PROTOCOL 6.5."""

from gateway.protocol.events.base import Event


class CardCheck(Event, frozen=True, kw_only=True):
    """What the two results of a card's audit share."""

    card_id: str = ""
    refuse_reason: str = ""


class CardPassCheck(CardCheck, frozen=True, kw_only=True):
    """A card passed its audit. See PROTOCOL 6.5."""


class CardNotPassCheck(CardCheck, frozen=True, kw_only=True):
    """A card was refused. See PROTOCOL 6.5."""


class CardEvent(Event, frozen=True, kw_only=True):
    """What the events of a user's card share: which card, and the user's code of it."""

    card_id: str = ""
    user_card_code: str = ""


class UserGetCard(CardEvent, frozen=True, kw_only=True):
    """A user received a card; the ``is_`` fields are 0 or 1. See PROTOCOL 6.5."""

    is_give_by_friend: int = 0
    friend_user_name: str = ""
    outer_id: int = 0
    old_user_card_code: str = ""
    outer_str: str = ""
    is_restore_member_card: int = 0
    is_recommend_by_friend: int = 0
    union_id: str = ""


class UserGiftingCard(CardEvent, frozen=True, kw_only=True):
    """A user gave a card away; the ``is_`` fields are 0 or 1. See PROTOCOL 6.5."""

    is_return_back: int = 0
    friend_user_name: str = ""
    is_chat_room: int = 0


class UserDelCard(CardEvent, frozen=True, kw_only=True):
    """A user deleted a card. See PROTOCOL 6.5."""


class UserConsumeCard(CardEvent, frozen=True, kw_only=True):
    """A user's card was redeemed. See PROTOCOL 6.5."""

    consume_source: str = ""
    location_name: str = ""
    staff_open_id: str = ""
    verify_code: str = ""
    remark_amount: str = ""
    outer_str: str = ""


class UserPayFromPayCell(CardEvent, frozen=True, kw_only=True):
    """A user paid with a card's payment button; both amounts are in fen. See PROTOCOL 6.5."""

    trans_id: str = ""
    location_id: str = ""
    fee: int = 0
    original_fee: int = 0


class UserViewCard(CardEvent, frozen=True, kw_only=True):
    """A user opened a member card. See PROTOCOL 6.5."""

    outer_str: str = ""


class UserEnterSessionFromCard(CardEvent, frozen=True, kw_only=True):
    """A user came to the account from a card. See PROTOCOL 6.5."""


class UpdateMemberCard(CardEvent, frozen=True, kw_only=True):
    """A member card changed; both values are differences, the balance's in fen. PROTOCOL 6.5."""

    modify_bonus: int = 0
    modify_balance: int = 0


class SubmitMembercardUserInfo(CardEvent, frozen=True, kw_only=True):
    """A user filled in what activates a member card. See PROTOCOL 6.5."""


class CardSkuRemind(Event, frozen=True, kw_only=True):
    """A card's stock is low; ``detail`` says how. See PROTOCOL 6.5."""

    card_id: str = ""
    detail: str = ""


class CardPayOrder(Event, frozen=True, kw_only=True):
    """The account's coins for paid cards changed; times are Unix seconds. See PROTOCOL 6.5."""

    order_id: str = ""
    status: str = ""
    create_order_time: int = 0
    pay_finish_time: int = 0
    desc: str = ""
    free_coin_count: int = 0
    pay_coin_count: int = 0
    refund_free_coin_count: int = 0
    refund_pay_coin_count: int = 0
    order_type: str = ""
    memo: str = ""
    receipt_info: str = ""


class CardMerchantCheckResult(Event, frozen=True, kw_only=True):
    """A sub-merchant's audit is over; ``is_pass`` is 0 or 1. See PROTOCOL 6.5."""

    merchant_id: str = ""
    is_pass: int = 0
    reason: str = ""


class GiftcardEvent(Event, frozen=True, kw_only=True):
    """What the gift-card events share: the shop's page and the order."""

    page_id: str = ""
    order_id: str = ""


class GiftcardPayDone(GiftcardEvent, frozen=True, kw_only=True):
    """A user paid for a gift card. See PROTOCOL 6.5."""


class GiftcardSendToFriend(GiftcardEvent, frozen=True, kw_only=True):
    """A user gave a gift card away; the ``is_`` fields are the text true or false. PROTOCOL 6.5."""

    is_chat_room: str = ""
    is_return_back: str = ""


class GiftcardUserAccept(GiftcardEvent, frozen=True, kw_only=True):
    """A user took a gift card; ``is_chat_room`` is the text true or false. See PROTOCOL 6.5."""

    is_chat_room: str = ""
