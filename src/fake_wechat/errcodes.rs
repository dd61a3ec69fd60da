//! WeChat's errcodes and what it says beside them (PROTOCOL.md §13). Knows nothing else.

use crate::clock::Timestamp;
use serde_json::{Value, json};

/// What WeChat says beside each.
const MEANINGS: [(i64, &str); 67] = [
    (-1, "system error"),
    (40001, "invalid credential, access_token is invalid or not latest"),
    (40002, "invalid grant_type"),
    (40003, "invalid openid"),
    (40004, "invalid media type"),
    (40005, "invalid file type"),
    (40007, "invalid media_id"),
    (40008, "invalid message type"),
    (40009, "invalid image size"),
    (40010, "invalid voice size"),
    (40011, "invalid video size"),
    (40012, "invalid thumb size"),
    (40013, "invalid appid"),
    (40014, "invalid access_token"),
    (40016, "invalid button size"),
    (40017, "invalid button type"),
    (40018, "invalid button name size"),
    (40019, "invalid button key size"),
    (40020, "invalid button url size"),
    (40022, "invalid sub button level"),
    (40023, "invalid sub button size"),
    (40024, "invalid sub button type"),
    (40025, "invalid sub button name size"),
    (40026, "invalid sub button key size"),
    (40027, "invalid sub button url size"),
    (40033, "invalid charset. please check your request, if include \\uxxxx will create fail!"),
    (40037, "invalid template_id"),
    (40052, "invalid action name"),
    (40053, "invalid action info"),
    (40066, "invalid url"),
    (40125, "invalid appsecret"),
    (40164, "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"),
    (40200, "invalid account type"),
    (40201, "invalid url, callback url is not set"),
    (40243, "AppSecret has been frozen"),
    (41001, "access_token missing"),
    (41002, "appid missing"),
    (41004, "appsecret missing"),
    (41005, "media data missing"),
    (41006, "media_id missing"),
    (42001, "access_token expired"),
    (43001, "require GET method"),
    (43002, "require POST method"),
    (43004, "require subscribe"),
    (43101, "user refuse to accept the msg"),
    (44001, "empty media data"),
    (44003, "empty news data"),
    (44004, "empty content"),
    (45002, "content size out of limit"),
    (45003, "title size out of limit"),
    (45004, "description size out of limit"),
    (45005, "url size out of limit"),
    (45008, "article size out of limit"),
    (45009, "reach max api daily quota limit"),
    (45011, "api minute-quota reach limit, must slower, retry next minute"),
    (45015, "response out of time limit or subscription is canceled"),
    (45029, "qrcode count out of limit"),
    (45047, "out of response count limit"),
    (45072, "command field must be in ['Typing', 'CancelTyping']"),
    (45080, "in 30 seconds, no interaction with the user"),
    (45081, "already in typing status"),
    (46003, "menu no exist"),
    (47001, "data format error"),
    (47003, "argument invalid!"),
    (48001, "api unauthorized"),
    (48006, "forbid to clear quota because of reaching the limit"),
    (53600, "invalid article id"),
];

/// The answer that says so.
pub(super) fn error(code: i64, now: Timestamp) -> Value {
    let meaning = MEANINGS.iter().find(|(known, _)| *known == code).map_or("error", |(_, meaning)| meaning);
    error_about(code, meaning, now)
}

/// The answer that says so in words of its own.
pub(super) fn error_about(code: i64, meaning: &str, now: Timestamp) -> Value {
    let rid = format!("{:08x}-{:08x}-{:08x}", now.as_s(), code.unsigned_abs(), now.0 % 1000);
    json!({ "errcode": code, "errmsg": format!("{meaning} rid: {rid}") })
}
