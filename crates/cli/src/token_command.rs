//! `fanfare token`: makes tokens for trying things out, and explains given ones.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use services::{Identity, MAX_TOKEN_BYTES, Mint, mint};

use crate::settings::Inputs;
use crate::{library, print};

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Print a token.
    Mint(Wanted),
    /// Say what a token says, and whether it holds here. Read from the standard input if not given.
    Explain { token: Option<String>, json: bool },
}

/// What the token is to say.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) subject: String,
    pub(crate) lifetime: Duration,
    pub(crate) name: Option<String>,
    /// `PATTERN` or `PATTERN=RIGHT,RIGHT`.
    pub(crate) rooms: Vec<String>,
    pub(crate) moderator: bool,
    /// `NAME=VALUE`; the value is JSON, or a text.
    pub(crate) claims: Vec<String>,
}

/// Does it. A token that does not hold is exit code 1.
///
/// # Errors
///
/// Settings that cannot be used, no secret to sign with.
pub(crate) fn run(inputs: Inputs, action: Action) -> anyhow::Result<ExitCode> {
    let settings = inputs.load()?.settings;
    match action {
        Action::Mint(wanted) => {
            let Some(secret) = &settings.auth.jwt_secret else {
                bail!(
                    "there is no secret to sign with\n  set it  FANFARE_AUTH_JWT_SECRET=… (or \
                     auth.jwt_secret in the settings file), the same as the server's"
                );
            };
            let issuer = settings.auth.issuers.first().map(String::as_str);
            let audience = settings.auth.audiences.first().map(String::as_str);
            let minted = mint(secret.expose(), wanted.mint(issuer, audience)?)?;
            print(&format!("{minted}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Explain { token, json } => {
            let identity = Identity::alone(&library::identity(&settings)?)?;
            explain(&identity, &token.map_or_else(read, Ok)?, json)
        }
    }
}

/// A token from the standard input: the list of processes does not show it.
fn read() -> anyhow::Result<String> {
    let mut text = String::new();
    let most = MAX_TOKEN_BYTES as u64 + 2;
    std::io::stdin().take(most).read_to_string(&mut text).context("the standard input")?;
    Ok(text.trim().to_owned())
}

fn explain(identity: &Identity, token: &str, json: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let explained = runtime.block_on(identity.explain(token));
    let holds = explained.verdict.is_ok();
    let code = if holds { ExitCode::SUCCESS } else { ExitCode::from(1) };
    if json {
        let told = json!({
            "header": explained.header,
            "claims": explained.claims,
            "times": explained.times.iter().map(|(name, words)| ((*name).to_owned(), json!(words)))
                .collect::<Map<_, _>>(),
            "holds": holds,
            "user": explained.verdict.as_ref().ok(),
            "reason": explained.verdict.as_ref().err().map(|why| why.reason()),
        });
        print(&format!("{told:#}\n"))?;
        return Ok(code);
    }
    let mut text = String::new();
    for (what, value) in [("header", &explained.header), ("claims", &explained.claims)] {
        let shown = value
            .as_ref()
            .map_or_else(|| "none that can be read".to_owned(), |value| format!("{value:#}"));
        text.push_str(&format!("{what}  {shown}\n"));
    }
    for (name, words) in &explained.times {
        text.push_str(&format!("{name:6}  {words}\n"));
    }
    text.push_str(&match (&explained.verdict, identity.is_on()) {
        (_, false) => "not checked: no key is set here (auth.jwt_secret, auth.jwt_public_key, \
                       auth.jwks_url, auth.session_url)\n"
            .to_owned(),
        (Ok(user), _) => format!("holds here, for the user {user:?}\n"),
        (Err(why), _) => format!("does not hold here: {why}\n"),
    });
    print(&text)?;
    Ok(code)
}

impl Wanted {
    fn mint(self, issuer: Option<&str>, audience: Option<&str>) -> anyhow::Result<Mint> {
        let mut claims = Map::new();
        for (name, value) in [("iss", issuer), ("aud", audience), ("name", self.name.as_deref())] {
            if let Some(value) = value {
                claims.insert(name.to_owned(), json!(value));
            }
        }
        if self.moderator {
            claims.insert("moderator".to_owned(), json!(true));
        }
        let mut rooms = Map::new();
        for room in &self.rooms {
            let (pattern, rights) = match room.split_once('=') {
                Some((pattern, rights)) => (pattern, json!(rights.split(',').collect::<Vec<_>>())),
                None => (room.as_str(), json!("*")),
            };
            rooms.insert(pattern.to_owned(), rights);
        }
        if !rooms.is_empty() {
            let rooms = Value::Object(rooms);
            services::Grants::of(&rooms).map_err(|why| anyhow::anyhow!("--room: {why}"))?;
            claims.insert("rooms".to_owned(), rooms);
        }
        for claim in &self.claims {
            let (name, value) = claim.split_once('=').context("--claim is not NAME=VALUE")?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            claims.insert(name.to_owned(), value);
        }
        Ok(Mint { subject: self.subject, lifetime: self.lifetime, claims })
    }
}
