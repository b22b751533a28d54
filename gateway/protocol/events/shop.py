"""Stores, shops, Wi-Fi, beacons, products and invoices: PROTOCOL 6.6."""

from typing import Annotated

from msgspec import Meta, field

from gateway.protocol.events.base import Event
from gateway.protocol.messages import Part


class PoiCheckNotify(Event, frozen=True, kw_only=True):
    """A store's audit is over; ``result`` is succ or fail. See PROTOCOL 6.6."""

    uniq_id: str = ""
    poi_id: str = ""
    result: str = ""
    msg: str = ""


class StoreAudit(Event, frozen=True, kw_only=True, rename="lower"):
    """What the audits of a mini program's stores share."""

    audit_id: str = ""
    status: int = 0
    reason: str = ""
    is_upgrade: int | None = None
    poiid: str | None = None


class AddStoreAuditInfo(StoreAudit, frozen=True, kw_only=True):
    """The audit of a new store is over. See PROTOCOL 6.6."""


class ModifyStoreAuditInfo(StoreAudit, frozen=True, kw_only=True):
    """The audit of a changed store is over. See PROTOCOL 6.6."""


class ApplyMerchantAuditInfo(StoreAudit, frozen=True, kw_only=True):
    """The audit of a merchant is over. See PROTOCOL 6.6."""


class CreateMapPoiAuditInfo(Event, frozen=True, kw_only=True, rename="lower"):
    """The audit of a new place on the map is over; the position is in degrees. PROTOCOL 6.6."""

    audit_id: str = ""
    status: int = 0
    map_poi_id: str = ""
    name: str = ""
    address: str = ""
    latitude: float = 0.0
    longitude: float = 0.0
    sh_remark: str = ""


class WifiConnected(Event, frozen=True, kw_only=True):
    """A user joined a store's Wi-Fi; times are Unix seconds. See PROTOCOL 6.6."""

    connect_time: int = 0
    expire_time: int = 0
    vendor_id: str = ""
    place_id: str = ""
    device_no: str = ""


class Beacon(Part, frozen=True, kw_only=True):
    """A Bluetooth beacon and its ``distance`` in metres."""

    uuid: str = ""
    major: int = 0
    minor: int = 0
    distance: float = 0.0


class ShakearoundUserShake(Event, frozen=True, kw_only=True):
    """A user shook the phone near beacons. See PROTOCOL 6.6."""

    chosen_beacon: Beacon = field(default_factory=Beacon)
    around_beacons: Annotated[list[Beacon], Meta(extra={"each": "AroundBeacon"})] = field(
        default_factory=list
    )


class MerchantOrder(Event, frozen=True, kw_only=True):
    """A user paid for an order in the account's shop. See PROTOCOL 6.6."""

    order_id: str = ""
    order_status: int = 0
    product_id: str = ""
    sku_info: str = ""


class ProductEvent(Event, frozen=True, kw_only=True):
    """What the events of a scanned product share: its code and the scene it was given."""

    key_standard: str = ""
    key_str: str = ""
    ext_info: str = ""


class UserScanProduct(ProductEvent, frozen=True, kw_only=True):
    """A user scanned a product and sees its page. See PROTOCOL 6.6."""

    country: str = ""
    province: str = ""
    city: str = ""
    sex: int = 0
    scene: int = 0


class UserScanProductEnterSession(ProductEvent, frozen=True, kw_only=True):
    """A user came to the account from a product's page. See PROTOCOL 6.6."""


class UserScanProductAsync(ProductEvent, frozen=True, kw_only=True):
    """WeChat asks for the product's page for a scan made now. See PROTOCOL 6.6."""

    region_code: str = ""


class UserScanProductVerifyAction(ProductEvent, frozen=True, kw_only=True):
    """A product's audit is over; ``result`` is verify_ok or verify_not_pass. See PROTOCOL 6.6."""

    result: str = ""
    reason_msg: str = ""


class UserAuthorizeInvoice(Event, frozen=True, kw_only=True):
    """A user allowed an invoice to be written, or did not. See PROTOCOL 6.6."""

    succ_order_id: str = ""
    fail_order_id: str = ""
    app_id: str = ""
    source: str = ""


class UpdateInvoiceStatus(Event, frozen=True, kw_only=True):
    """An invoice's state of reimbursement changed. See PROTOCOL 6.6."""

    status: str = ""
    card_id: str = ""
    code: str = ""


class SubmitInvoiceTitle(Event, frozen=True, kw_only=True, rename="lower"):
    """A user submitted to whom an invoice is to be addressed. See PROTOCOL 6.6."""

    title: str = ""
    tax_no: str = ""
    addr: str = ""
    phone: str = ""
    bank_type: str = ""
    bank_no: str = ""
    attach: str = ""
    title_type: str = ""
