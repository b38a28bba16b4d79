//! Which tokens hold. Made here with the same library that checks them, and by hand where it refuses.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::jwt::{self, Claims, Key};
use super::*;

const SECRET: &str = "a secret of thirty-two characters";

fn now() -> i64 {
    i64::try_from(crate::time::now_ms() / 1_000).unwrap()
}

fn signed(algorithm: Algorithm, claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn read(token: &str, claims: &Claims) -> Result<String, TokenError> {
    let keys = [Key::secret(SECRET).unwrap()];
    jwt::read(token, &keys, claims).map(|user| user.id.to_string())
}

/// A token with this head and a signature that is right for it.
fn with_head(head: &str) -> String {
    let claims = json!({ "sub": "7", "exp": now() + 60 }).to_string();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn claims_are_judged_exactly() {
    let plain = Claims::default();
    let strict = Claims {
        issuers: vec!["https://id.example".to_owned()],
        audiences: vec!["fanfare".to_owned()],
        expiry_required: true,
    };
    let full = |more: Value| {
        let mut claims =
            json!({ "sub": "7", "exp": now() + 60, "iss": "https://id.example", "aud": "fanfare" });
        for (name, value) in more.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    };
    for (rules, claims, expected) in [
        (&plain, json!({ "sub": "7", "exp": now() + 60 }), Ok("7")),
        (&plain, json!({ "sub": "7", "exp": now() - 5 }), Ok("7")), // within the leeway
        (&plain, json!({ "sub": "7", "exp": now() - 15 }), Err(TokenError::Expired)),
        (&plain, json!({ "sub": "7" }), Err(TokenError::NoExpiry)),
        (&plain, json!({ "sub": "7", "exp": "soon" }), Err(TokenError::Claims)),
        (
            &plain,
            json!({ "sub": "7", "exp": now() + 60, "nbf": now() + 60 }),
            Err(TokenError::TooEarly),
        ),
        (&plain, json!({ "exp": now() + 60 }), Err(TokenError::Subject)),
        (&plain, json!({ "sub": 7, "exp": now() + 60 }), Err(TokenError::Claims)),
        (&plain, json!({ "sub": "", "exp": now() + 60 }), Err(TokenError::Subject)),
        (&plain, json!({ "sub": "a b", "exp": now() + 60 }), Err(TokenError::Subject)),
        (&plain, json!({ "sub": "guest:x", "exp": now() + 60 }), Err(TokenError::Subject)),
        (&plain, json!({ "sub": "x".repeat(251), "exp": now() + 60 }), Err(TokenError::Subject)),
        (&plain, json!({ "sub": "7", "exp": now() + 60, "rooms": "all" }), Err(TokenError::Rooms)),
        (&strict, full(json!({})), Ok("7")),
        (&strict, full(json!({ "aud": ["other", "fanfare"] })), Ok("7")),
        (&strict, full(json!({ "aud": "other" })), Err(TokenError::Audience)),
        (&strict, full(json!({ "aud": null })), Err(TokenError::Audience)),
        (&strict, full(json!({ "iss": "https://evil.example" })), Err(TokenError::Issuer)),
        (&strict, full(json!({ "iss": null })), Err(TokenError::Issuer)),
    ] {
        let read = read(&signed(Algorithm::HS256, &claims), rules);
        assert_eq!(read, expected.map(str::to_owned), "{claims}");
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert!(read(&signed(algorithm, &full(json!({}))), &strict).is_ok());
    }
}

#[test]
fn forged_and_malformed_tokens_are_refused() {
    let good = signed(Algorithm::HS256, &json!({ "sub": "7", "exp": now() + 60 }));
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let deep = format!(r#"{{"alg":"HS256","x":{}1{}}}"#, "[".repeat(3_000), "]".repeat(3_000));
    for (token, expected) in [
        (String::new(), TokenError::Form),
        ("opaque".to_owned(), TokenError::Form),
        (format!("{none}.{body}."), TokenError::Form),
        (format!("{none}.{body}.x"), TokenError::Algorithm),
        (with_head(r#"{"alg":"None"}"#), TokenError::Algorithm),
        (with_head(r#"{"alg":"nOnE"}"#), TokenError::Algorithm),
        (with_head(r#"{"alg":["HS256"]}"#), TokenError::Algorithm),
        (with_head(r#"{"alg":256}"#), TokenError::Algorithm),
        (with_head("{}"), TokenError::Algorithm),
        (with_head(r#""HS256""#), TokenError::Form),
        (with_head(r#"{"alg":"HS256","typ":"JWE"}"#), TokenError::Form),
        (with_head(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#), TokenError::Form),
        (with_head(&deep), TokenError::Form),
        (with_head(r#"{"alg":"RS256"}"#), TokenError::Key),
        (with_head(r#"{"alg":"ES256"}"#), TokenError::Key),
        (format!("{head}.{body}.{signature}."), TokenError::Form),
        (format!("{head}.{body}"), TokenError::Form),
        (format!("{head}..{signature}"), TokenError::Form),
        (format!("{head}=.{body}.{signature}"), TokenError::Form),
        (format!(" {good}"), TokenError::Form),
        (format!("{good} "), TokenError::Signature),
        (format!("{good}="), TokenError::Signature),
        (format!("{head}.{body}.{}", "A".repeat(43)), TokenError::Signature),
        (good.replace(signature, &signature[..signature.len() - 1]), TokenError::Signature),
        (format!("{good}.a.b"), TokenError::Form),
        ("a.".repeat(5_000), TokenError::Form),
    ] {
        let got = read(&token, &Claims::default()).unwrap_err();
        // What is no base64 may be found while the signature is read.
        let same =
            got == expected || (expected == TokenError::Signature && got == TokenError::Form);
        assert!(same, "{got:?} instead of {expected:?}: {token:.60}");
    }
    // Where a token says its key is found does not matter.
    for hint in ["jku", "x5u"] {
        let head = json!({ "alg": "HS256", (hint): "https://evil.example/keys" });
        assert_eq!(read(&with_head(&head.to_string()), &Claims::default()), Ok("7".to_owned()));
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let pem = include_str!("testdata/rsa_public.pem");
    let keys = [Key::pem(pem).unwrap()];
    let key = EncodingKey::from_secret(pem.as_bytes());
    let claims = json!({ "sub": "7", "exp": now() + 60 });
    let forged = encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    assert_eq!(jwt::read(&forged, &keys, &Claims::default()).unwrap_err(), TokenError::Key);
}

#[test]
fn public_keys_of_each_kind_hold() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
    let claims = json!({ "sub": "7", "exp": now() + 60 });
    let rsa = EncodingKey::from_rsa_pem(include_bytes!("testdata/rsa_private.pem")).unwrap();
    let p256 = EncodingKey::from_ec_pem(include_bytes!("testdata/p256_private.pem")).unwrap();
    let p384 = EncodingKey::from_ec_pem(include_bytes!("testdata/p384_private.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(include_bytes!("testdata/ed25519_private.pem")).unwrap();
    let publics = [
        include_str!("testdata/rsa_public.pem"),
        include_str!("testdata/p256_public.pem"),
        include_str!("testdata/p384_public.pem"),
        include_str!("testdata/ed25519_public.pem"),
    ];
    for (algorithm, private, of) in
        [(RS256, &rsa, 0), (PS256, &rsa, 0), (ES256, &p256, 1), (ES384, &p384, 2), (EdDSA, &ed, 3)]
    {
        let token = encode(&Header::new(algorithm), &claims, private).unwrap();
        for (index, public) in publics.iter().enumerate() {
            let read = jwt::read(&token, &[Key::pem(public).unwrap()], &Claims::default());
            assert_eq!(read.is_ok(), index == of, "{algorithm:?} {index}");
        }
        // All zeros: r and s of an ECDSA signature that some libraries took.
        let (message, signature) = token.rsplit_once('.').unwrap();
        let zeros =
            URL_SAFE_NO_PAD.encode(vec![0; URL_SAFE_NO_PAD.decode(signature).unwrap().len()]);
        let zeroed = format!("{message}.{zeros}");
        let read = jwt::read(&zeroed, &[Key::pem(publics[of]).unwrap()], &Claims::default());
        assert!(read.is_err(), "{algorithm:?}");
    }
    for text in ["", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", SECRET] {
        assert!(matches!(Key::pem(text), Err(KeyError::Pem)), "{text}");
    }
    assert!(matches!(Key::secret(""), Err(KeyError::Empty)));
}

#[test]
fn what_a_token_says_is_kept() {
    let claims = json!({
        "sub": "7", "exp": now() + 60, "iat": 1_700_000_000, "name": "Ada", "jti": "t1",
        "sid": "s1", "moderator": true, "rooms": { "chat:*": ["join"] }, "role": "ignored",
    });
    let keys = [Key::secret(SECRET).unwrap()];
    let user = jwt::read(&signed(Algorithm::HS256, &claims), &keys, &Claims::default()).unwrap();
    assert_eq!(user.name.as_deref(), Some("Ada"));
    assert_eq!((user.token_id.as_deref(), user.session.as_deref()), (Some("t1"), Some("s1")));
    assert_eq!(user.issued_at, Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
    assert!(user.moderator && user.grants.give(crate::access::Right::Join, "/", "chat:1"));
}

#[test]
fn names_that_are_shown_are_harmless() {
    for (text, expected) in [
        ("Ada", Some("Ada")),
        ("  Ada\n", Some("Ada")),
        ("A\u{0}d\u{1b}a", Some("Ada")),
        ("\u{202e}evil", Some("evil")),
        ("\u{200b}", None),
        ("", None),
        ("<b>x</b>", Some("<b>x</b>")), // text is text: whoever shows it escapes it
    ] {
        assert_eq!(display(text).as_deref(), expected, "{text:?}");
    }
    assert_eq!(display(&"é".repeat(500)).unwrap().chars().count(), MAX_DISPLAY_CHARS);
}
