//! F: tokens and keys, by each door: a bad one is refused, whatever a guest may, and is in no log.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::case::{Case, Door, Profile, TOKEN_SECRET, case};
use crate::wire::{UPGRADE_FIELDS, WEBSOCKET, request, upgrade, upgrade_with};

const PUBLIC_KEY: &[u8] = include_bytes!("../../../services/src/identity/testdata/p256_public.pem");
const PRIVATE_KEY: &[u8] =
    include_bytes!("../../../services/src/identity/testdata/p256_private.pem");

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    forged(&mut cases);
    claims(&mut cases);
    places(&mut cases);
    recovery(&mut cases);
    cases
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn good_claims() -> Value {
    json!({ "sub": "7", "iss": "https://id.example", "aud": "fanfare", "exp": now() + 600 })
}

/// Signed as it should be: the head and the claims are what is wrong.
fn signed(head: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(TOKEN_SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn token(claims: &Value) -> String {
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
}

fn good() -> String {
    token(&good_claims())
}

fn with_key(algorithm: Algorithm, key: &EncodingKey) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), &good_claims(), key).unwrap()
}

/// The same token at each door.
fn refused(cases: &mut Vec<Case>, row: &'static str, what: &str, token: &str) {
    let at = |door: &str| case(row, format!("{what}, {door}")).on(Profile::Tokens).plants(token);
    let connect = format!("40{}", json!({ "token": token }));
    let answer = "\"code\":\"AUTH_REQUIRED\"";
    let asked = at("CONNECT").open(Door::WebSocket).text(connect).hears_has(answer);
    cases.push(asked.rejected("namespace_refused"));
    // What cannot stand in a header cannot be sent in one.
    if token.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return;
    }
    let fields = format!("Authorization: Bearer {token}\r\n");
    for (door, target) in [("history", "/v1/rooms/a/history"), ("a stream", "/v1/sse?rooms=a")] {
        let sent = request("GET", target, &fields);
        cases.push(at(door).send(sent).status(&[401]).body_has(answer));
    }
}

/// F1 to F6, F15, F17: what is no token, or not ours.
fn forged(cases: &mut Vec<Case>) {
    let claims = good_claims().to_string();
    let [head, body, signature]: [String; 3] =
        good().split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    for algorithm in ["none", "None", "nOnE", "NONE"] {
        let unsigned = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
        refused(cases, "F1", "unsigned", &format!("{unsigned}.{body}."));
        refused(
            cases,
            "F1",
            "unsigned, with a signature",
            &format!("{unsigned}.{body}.{signature}"),
        );
    }
    refused(cases, "F1", "an empty signature", &format!("{head}.{body}."));
    let public = EncodingKey::from_secret(PUBLIC_KEY);
    refused(cases, "F2", "the public key as a secret", &with_key(Algorithm::HS256, &public));
    let other = EncodingKey::from_secret(b"somebody else's secret of enough bytes");
    refused(cases, "F2", "another secret", &with_key(Algorithm::HS256, &other));
    let deep = format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    for (what, head) in [
        ("an algorithm in a list", r#"{"alg":["HS256"]}"#),
        ("a number as algorithm", r#"{"alg":256}"#),
        ("no algorithm", r#"{"typ":"JWT"}"#),
        ("an unknown algorithm", r#"{"alg":"HS257"}"#),
        ("algorithms twice", r#"{"alg":"none","alg":"HS256"}"#),
        ("a head that is a list", r#"["HS256"]"#),
        ("a deep head", deep.as_str()),
        ("no JSON in the head", "HS256"),
        ("an encrypted token's head", r#"{"alg":"dir","enc":"A128GCM"}"#),
    ] {
        refused(cases, "F3", what, &signed(head, &claims));
    }
    let ours = EncodingKey::from_ec_pem(PRIVATE_KEY).unwrap();
    for field in ["jku", "x5u", "jwk", "x5c", "kid"] {
        // Whatever it names, the key is the one of the settings: the token holds by that alone.
        let head = format!(r#"{{"alg":"HS256","{field}":"https://evil.example/{{secret}}"}}"#);
        let forged = format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode(head));
        refused(cases, "F5", field, &forged);
    }
    let real = with_key(Algorithm::ES256, &ours);
    let zero = URL_SAFE_NO_PAD.encode([0_u8; 64]);
    let full = URL_SAFE_NO_PAD.encode([0xff_u8; 64]);
    let (message, _) = real.rsplit_once('.').unwrap();
    refused(cases, "F17", "a signature of zeros", &format!("{message}.{zero}"));
    refused(cases, "F17", "a signature beyond the order", &format!("{message}.{full}"));
    let last = signature.pop_last();
    for (what, malformed) in [
        ("padding", format!("{head}.{body}.{signature}=")),
        ("padded base64", format!("{}.{body}.{signature}", URL_SAFE.encode(r#"{"alg":"HS256"} "#))),
        ("the other alphabet", format!("{head}.{}.{signature}", STANDARD.encode(&claims))),
        ("bits that mean nothing", format!("{head}.{body}.{last}")),
        ("a space", format!("{head}.{body} .{signature}")),
        ("four parts", format!("{head}.{body}.{signature}.{signature}")),
        ("five parts", format!("{head}.{body}.{signature}.a.b")),
        ("two parts", format!("{head}.{body}")),
        ("no claims", format!("{head}..{signature}")),
        ("points", "..".to_owned()),
        ("a word", "token".to_owned()),
        ("too long", format!("{head}.{}.{signature}", "A".repeat(10_000))),
        ("two in one", format!("{head}.{body}.{signature} {head}.{body}.{signature}")),
    ] {
        refused(cases, "F15", what, &malformed);
    }
}

/// The last character with one of the bits turned that stand for nothing.
trait Malleable {
    fn pop_last(&self) -> String;
}

impl Malleable for String {
    fn pop_last(&self) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (rest, last) = self.split_at(self.len() - 1);
        let at = ALPHABET.iter().position(|byte| *byte == last.as_bytes()[0]).unwrap();
        format!("{rest}{}", char::from(ALPHABET[at ^ 1]))
    }
}

/// F8, F11: what a token must say.
fn claims(cases: &mut Vec<Case>) {
    let change = |name: &str, value: Value| {
        let mut claims = good_claims();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        token(&claims)
    };
    for (row, what, token) in [
        ("F8", "expired beyond the leeway", change("exp", json!(now() - 12))),
        ("F8", "no end", change("exp", Value::Null)),
        ("F8", "an end that is a text", change("exp", json!("never"))),
        ("F8", "an end below zero", change("exp", json!(-1))),
        ("F8", "not yet", change("nbf", json!(now() + 600))),
        ("F11", "for others", change("aud", json!("other"))),
        ("F11", "for nobody", change("aud", Value::Null)),
        ("F11", "for a list of others", change("aud", json!(["a", "b"]))),
        ("F11", "by others", change("iss", json!("https://id.example.evil.example"))),
        ("F11", "by nobody", change("iss", Value::Null)),
        ("F11", "nobody's", change("sub", Value::Null)),
        ("F11", "a number's", change("sub", json!(7))),
        ("F11", "an empty one's", change("sub", json!(""))),
        ("F11", "a guest's", change("sub", json!("guest:7"))),
        ("F14", "rights that are none", change("rooms", json!({ "a": ["admin"] }))),
        ("F14", "rights of no form", change("rooms", json!("*"))),
    ] {
        refused(cases, row, what, &token);
    }
    let fits = case("F11", "for us and others").on(Profile::Tokens);
    let token = change("aud", json!(["other", "fanfare"]));
    let connect = format!("40{}", json!({ "token": token }));
    cases.push(fits.plants(&token).open(Door::WebSocket).text(connect).hears_begin("40{"));
    let room = |name: &str| format!(r#"421["room:join",{{"roomId":"{name}"}}]"#);
    let granted = change("rooms", json!({ "private:a": ["join"] }));
    let connect = format!("40{}", json!({ "token": granted }));
    let inside = case("F14", "one room is no other").on(Profile::Tokens).plants(&granted);
    let mut inside = inside.open(Door::WebSocket).text(connect).hears_begin("40{");
    for name in ["private:b", "private:a ", "private:A", "private:a/../b", "private:", "private:aa"]
    {
        inside = inside.text(room(name)).hears_has("\"ok\":false");
    }
    cases.push(inside.text(room("private:a")).hears_has("\"ok\":true"));
}

/// F18, F19: where a token stands.
fn places(cases: &mut Vec<Case>) {
    let at = |row, what: &str| case(row, what).on(Profile::Tokens).plants(good());
    let other = token(&json!({
        "sub": "8", "iss": "https://id.example", "aud": "fanfare", "exp": now() + 600
    }));
    let sent = request("GET", &format!("/v1/sse?rooms=a&token={}", good()), "");
    let refused = at("F18", "in the query of a stream").send(sent).status(&[401]);
    cases.push(refused.body_has("queries end up in logs"));
    let target = format!("{WEBSOCKET}&token={}", good());
    let in_query = at("F18", "in the query of a handshake").send(upgrade(&target));
    let in_query = in_query.status(&[101]).hears_begin("0{").text("40");
    let in_query = in_query.hears_has("\"code\":\"AUTH_REQUIRED\"");
    cases.push(in_query.rejected("namespace_refused"));
    let bearer = format!("Bearer {other}");
    let mut fields = UPGRADE_FIELDS.to_vec();
    fields.push(("Authorization", &bearer));
    let disagree = at("F19", "two tokens that disagree").plants(&other);
    let disagree = disagree.send(upgrade_with(WEBSOCKET, &fields)).status(&[101]);
    let connect = format!("40{}", json!({ "token": good() }));
    let disagree = disagree.hears_begin("0{").text(connect).hears_has("several tokens");
    cases.push(disagree.rejected("namespace_refused"));
    let cookie = format!("token={other}; access_token={other}");
    let mut fields = UPGRADE_FIELDS.to_vec();
    fields.extend([("Cookie", cookie.as_str()), ("Sec-WebSocket-Protocol", other.as_str())]);
    let ignored = at("F19", "tokens where none is looked for").plants(&other);
    let ignored = ignored.send(upgrade_with(WEBSOCKET, &fields)).status(&[101]);
    cases.push(ignored.hears_begin("0{").text("40").hears_begin("40{"));
    for auth in [r#"{"token":7}"#, r#"{"token":{}}"#, r#"{"token":[]}"#, r#"{"token":true}"#] {
        let odd = case("F3", format!("auth {auth}")).on(Profile::Tokens).open(Door::WebSocket);
        let odd = odd.text(format!("40{auth}")).hears_begin("44{");
        cases.push(odd.rejected("namespace_refused"));
    }
    // F20: nothing tells how near a key was.
    for key in ["", "k", "{key}x", "{key} {key}", "x{key}"] {
        let fields = format!("Authorization: Bearer {key}\r\nContent-Type: application/json\r\n");
        let wrong = case("F20", format!("key {key:?}")).on(Profile::Tokens);
        let sent = request("GET", "/v1/rooms", &fields);
        cases.push(wrong.send(sent).status(&[401]).body_has("\"code\":\"AUTH_REQUIRED\""));
    }
}

/// F24: the client merges what it resumes with `auth`; both are whatever a client says.
fn recovery(cases: &mut Vec<Case>) {
    for auth in [
        json!({ "token": good(), "pid": "AAAAAAAAAAAAAAAAAAAA", "offset": "x" }),
        json!({ "token": good(), "pid": 7, "offset": {} }),
        json!({ "token": good(), "pid": ["a"], "offset": ["b"] }),
        json!({ "token": good(), "pid": "", "offset": "" }),
    ] {
        let new = case("F24", format!("pid {}", auth["pid"])).on(Profile::Tokens).plants(good());
        let new = new.open(Door::WebSocket).text(format!("40{auth}")).hears_begin("40{");
        let asks = r#"421["room:leave",{"roomId":"nowhere"}]"#;
        cases.push(new.text(asks).hears_begin(r#"431[{"ok":true"#));
    }
}
