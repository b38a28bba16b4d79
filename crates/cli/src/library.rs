//! The settings of the library, from those of the binary.

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context;
use eventlog::EventLog;
use fanfare::engineio::{self, Cookie, Cors};
use fanfare::server::{ServerSettings, TlsSettings};
use fanfare::{
    Drain, OutboxLimits, ReadRate, Recording, RecoverySettings, Settings as Library, StreamSettings,
};
use socketio::Limits as PacketLimits;

use services::{
    AccessSettings, ChatSettings, Claims, Endpoint, IdentitySettings, JobsSettings, KeyDigest,
    LimitsSettings, OriginCheck, PresenceSettings, RateSetting, RedisUrl, RoomsSettings,
    SecretText, SessionsSettings, SigningKey, WebhookEvent, WebhooksSettings,
};

use livepoll::Rates;

use crate::settings::{Parser, Secret, Settings, Size, Transport};

/// The settings of the real-time part.
///
/// # Errors
///
/// A value that the library does not take although the check of the settings let it pass.
pub(crate) fn settings(from: &Settings, log: Option<Arc<dyn EventLog>>) -> anyhow::Result<Library> {
    let (limits, defaults) = (&from.limits, Library::default());
    Ok(Library {
        engine: engine(from)?,
        path: from.path.clone(),
        connect_timeout: from.connect_timeout.0,
        parser: match from.parser {
            Parser::Json => fanfare::Parser::Json,
            Parser::Msgpack => fanfare::Parser::MsgPack,
        },
        message_compression: from.compression.websocket.map(bytes),
        packet_limits: PacketLimits {
            max_namespaces: count(limits.namespaces_per_connection),
            max_attachments: count(limits.attachments),
            max_connect_bytes: bytes(limits.auth),
            ..defaults.packet_limits
        },
        outbox: OutboxLimits {
            max_events: count(from.outbox.events),
            max_bytes: bytes(from.outbox.bytes),
        },
        read_rate: ReadRate {
            bytes_per_second: limits.read_rate.0,
            burst_bytes: limits.read_burst.0,
        },
        max_rooms: small(limits.rooms_per_socket),
        max_running_handlers: small(limits.running_handlers),
        max_sessions: count(limits.sessions),
        body_deadline: from.http.body_timeout.0,
        log: log.map(Into::into),
        recording: Recording::new(&from.event_log.recorded, &from.event_log.ephemeral)
            .context("event_log.recorded, event_log.ephemeral")?,
        recovery: RecoverySettings {
            enabled: from.recovery.enabled,
            window: from.recovery.window.0,
            max_events: count(from.recovery.events),
            max_bytes: bytes(from.recovery.bytes),
            max_waiting: count(from.recovery.waiting),
        },
        streams: StreamSettings {
            heartbeat: from.sse.heartbeat.0,
            retry_min: from.sse.retry_min.0,
            retry_max: from.sse.retry_max.0,
        },
        shards: from.shards.map_or(defaults.shards, count),
    })
}

/// The settings of the listener.
pub(crate) fn server_settings(from: &Settings) -> ServerSettings {
    let (limits, http) = (&from.limits, &from.http);
    let files = from.tls.cert.clone().zip(from.tls.key.clone());
    ServerSettings {
        max_connections: count(limits.connections),
        max_connections_per_address: count(limits.connections_per_ip),
        limit_loopback: limits.count_loopback,
        // Checked with the settings.
        trusted_proxies: limits.trusted_proxies.iter().filter_map(|it| it.parse().ok()).collect(),
        max_connections_per_second: small(limits.connections_per_second),
        max_sessions_per_address_per_second: small(limits.sessions_per_ip_per_second),
        session_burst_per_address: small(limits.sessions_per_ip_burst),
        header_deadline: http.header_timeout.0,
        idle_deadline: http.idle_timeout.0,
        stall_deadline: http.stall_timeout.0,
        max_header_bytes: bytes(http.max_header),
        max_headers: count(http.max_headers),
        tls: files.map(|(cert, key)| TlsSettings { cert, key }),
        handshake_deadline: from.tls.handshake_timeout.0,
        drain: Drain {
            notice: from.drain.notice.0,
            clients_per_second: small(from.drain.clients_per_second),
            within: from.drain.within.0,
        },
        shutdown_grace: from.shutdown_grace.0,
    }
}

/// The settings of the services.
///
/// # Errors
///
/// A value that the check of the settings let pass although it is none.
pub(crate) fn service_settings(from: &Settings) -> anyhow::Result<services::Settings> {
    let replays = from.replay.rooms.iter().map(|text| text.parse());
    Ok(services::Settings {
        namespaces: from.namespaces.clone(),
        identity: identity(from)?,
        access: access(from)?,
        limits: limits(from),
        further_keys: from.api_keys.iter().flat_map(further_keys).collect(),
        hosts: from.http.hosts.clone(),
        origins: match from.cors.check_origin.as_str() {
            "always" => OriginCheck::Always,
            "never" => OriginCheck::Never,
            _ => OriginCheck::Cookies,
        },
        rooms: rooms(from)?,
        chat: ChatSettings {
            max_content_bytes: bytes(from.chat.content),
            max_metadata_bytes: bytes(from.chat.metadata),
            members_only: from.chat.members_only,
            kept_per_room: small(from.chat.kept_per_room),
            typing_lasts: from.chat.typing_lasts.0,
        },
        sessions: SessionsSettings {
            required: from.sessions.required,
            heartbeat: from.sessions.heartbeat.0,
            on_seen: None,
        },
        jobs: JobsSettings {
            unknown_allowed: from.jobs.unknown_allowed,
            kept: from.jobs.kept.0,
            max_jobs: from.jobs.max,
            redis: redis(from)?,
        },
        webhooks: WebhooksSettings {
            url: endpoint(from.webhooks.url.as_deref()).context("webhooks.url")?,
            signing_key: from.webhooks.secret.as_ref().map(|it| SigningKey::new(it.expose())),
            events: WebhookEvent::ALL
                .into_iter()
                .filter(|event| from.webhooks.events.iter().any(|name| name == event.as_str()))
                .collect(),
            max_waiting: from.webhooks.waiting,
        },
        presence: PresenceSettings {
            grace: from.presence.grace.0,
            updates_per_second: small(from.presence.updates_per_second),
            crowd: count(from.presence.crowd),
            max_state_bytes: bytes(from.presence.state),
        },
        replays: replays.collect::<Result<_, _>>().context("replay.rooms")?,
        max_body_bytes: bytes(from.max_payload),
        body_deadline: from.http.body_timeout.0,
    })
}

/// The settings of live polling.
///
/// # Errors
///
/// A value that the check of the settings let pass although it is none.
pub(crate) fn livepoll_settings(from: &Settings) -> anyhow::Result<livepoll::Settings> {
    let from = &from.livepoll;
    let database = from.database.as_ref().map(|url| url.expose().parse());
    Ok(livepoll::Settings {
        database: database
            .transpose()
            .map_err(|error| anyhow::anyhow!("livepoll.database {error}"))?,
        namespace: from.namespace.clone(),
        results_per_second: at_least_one(from.results_per_second),
        away_after: from.away_after.0,
        retention: from.retention.0,
        rates: Rates {
            sessions_per_minute: at_least_one(from.sessions_per_ip_per_minute),
            joins_per_second: at_least_one(from.joins_per_ip_per_second),
            wrong_codes_per_minute: at_least_one(from.wrong_codes_per_ip_per_minute),
            votes_per_second: at_least_one(from.votes_per_second),
        },
    })
}

/// The settings of identity.
///
/// # Errors
///
/// A key that cannot be read.
pub(crate) fn identity(from: &Settings) -> anyhow::Result<IdentitySettings> {
    let auth = &from.auth;
    let public_key = auth.jwt_public_key.as_ref().map(|path| {
        std::fs::read_to_string(path)
            .with_context(|| format!("auth.jwt_public_key: {} cannot be read", path.display()))
    });
    Ok(IdentitySettings {
        jwt_secret: auth.jwt_secret.as_ref().map(|it| SecretText(it.expose().to_owned())),
        jwt_public_key: public_key.transpose()?,
        jwks: endpoint(auth.jwks_url.as_deref()).context("auth.jwks_url")?,
        claims: Claims {
            issuers: auth.issuers.clone(),
            audiences: auth.audiences.clone(),
            expiry_required: auth.expiry_required,
        },
        session_url: endpoint(auth.session_url.as_deref()).context("auth.session_url")?,
        session_holds: auth.session_holds.0,
        signing_key: signing_key(from),
        guests: auth.guests,
        query_token: auth.query_token,
        notice: auth.notice.0,
    })
}

fn access(from: &Settings) -> anyhow::Result<AccessSettings> {
    let private = from.access.private.iter().map(|text| text.parse());
    Ok(AccessSettings {
        decide: None,
        url: endpoint(from.access.url.as_deref()).context("access.url")?,
        signing_key: signing_key(from),
        holds: from.access.holds.0,
        private: private.collect::<Result<_, _>>().context("access.private")?,
        open: from.access.open,
    })
}

fn further_keys(list: &Secret) -> Vec<KeyDigest> {
    let keys = list.expose().split(',').filter(|key| !key.is_empty());
    keys.map(KeyDigest::of).collect()
}

fn limits(from: &Settings) -> LimitsSettings {
    let limits = &from.limits;
    let rate = |per_second, burst| RateSetting { per_second, burst };
    LimitsSettings {
        events: rate(limits.events_per_second, limits.events_burst),
        user_events: rate(limits.user_events_per_second, limits.user_events_burst),
        presence: rate(limits.presence_per_second, limits.presence_burst),
        user_bytes: rate(limits.user_bytes.0, limits.user_bytes_burst.0),
        refusals: limits.refusals,
        room_events: rate(limits.room_events_per_second, limits.room_events_burst),
        api: rate(limits.api_per_second, limits.api_burst),
    }
}

fn rooms(from: &Settings) -> anyhow::Result<RoomsSettings> {
    let announced = from.rooms.announced.iter().map(|text| text.parse());
    Ok(RoomsSettings {
        must_exist: from.rooms.must_exist,
        clients_create: from.rooms.clients_create,
        announced: announced.collect::<Result<_, _>>().context("rooms.announced")?,
        announced_up_to: count(from.rooms.announced_up_to),
    })
}

fn signing_key(from: &Settings) -> Option<SigningKey> {
    from.auth.signing_secret.as_ref().map(|secret| SigningKey::new(secret.expose()))
}

fn endpoint(text: Option<&str>) -> Result<Option<Endpoint>, services::EndpointError> {
    text.map(str::parse).transpose()
}

fn engine(from: &Settings) -> anyhow::Result<engineio::Settings> {
    let cookie = from.cookie.as_deref().map(Cookie::named).transpose().context("cookie")?;
    Ok(engineio::Settings {
        ping_interval: from.ping_interval.0,
        ping_timeout: from.ping_timeout.0,
        upgrade_timeout: from.upgrade_timeout.0,
        close_timeout: from.close_timeout.0,
        max_payload_bytes: bytes(from.max_payload),
        max_packets_per_payload: count(from.limits.packets_per_request),
        transports: engineio::Transports {
            polling: from.transports.contains(&Transport::Polling),
            websocket: from.transports.contains(&Transport::Websocket),
        },
        allow_upgrades: from.allow_upgrades,
        allow_v3: from.allow_v3,
        allow_jsonp: from.allow_jsonp,
        cookie: cookie.map(|cookie| cookie.secure(from.tls.cert.is_some())),
        cors: cors(from),
        compression_threshold_bytes: from.compression.polling.map(bytes),
        ..engineio::Settings::default()
    })
}

fn redis(from: &Settings) -> anyhow::Result<Option<RedisUrl>> {
    let url = from.redis.url.as_ref().map(|url| url.expose().parse());
    url.transpose().context("redis.url")
}

fn cors(from: &Settings) -> Option<Cors> {
    let origins = &from.cors.origins;
    if origins.is_empty() {
        return None;
    }
    let any = origins.iter().any(|origin| origin == "*");
    let origins = if any {
        engineio::cors::Origins::Any
    } else {
        engineio::cors::Origins::List(origins.clone())
    };
    Some(Cors { origins, credentials: from.cors.credentials, ..Cors::default() })
}

fn bytes(size: Size) -> usize {
    count(size.0)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A number whose setting begins at one.
fn at_least_one(number: u64) -> NonZeroU32 {
    NonZeroU32::new(small(number)).unwrap_or(NonZeroU32::MIN)
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    //! The defaults of the binary are those of the library: what its documentation says about
    //! them holds here too.

    use super::*;
    use crate::settings::Inputs;

    #[test]
    fn the_defaults_of_the_binary_are_those_of_the_library() {
        let defaults = Inputs::default().load().unwrap().settings;
        let ours = settings(&defaults, None).unwrap();
        assert_eq!(format!("{ours:#?}"), format!("{:#?}", Library::default()));
        let ours = service_settings(&defaults).unwrap();
        assert_eq!(format!("{ours:#?}"), format!("{:#?}", services::Settings::default()));
        let ours = livepoll_settings(&defaults).unwrap();
        assert_eq!(format!("{ours:#?}"), format!("{:#?}", livepoll::Settings::default()));
        let ours = server_settings(&defaults);
        assert_eq!(format!("{ours:#?}"), format!("{:#?}", ServerSettings::default()));
    }

    #[test]
    fn cross_origin_rules_follow_the_list() {
        use engineio::cors::Origins;
        for (list, expected) in [
            ("", None),
            ("*", Some(Origins::Any)),
            ("https://a.example,*", Some(Origins::Any)),
            ("https://a.example", Some(Origins::List(vec!["https://a.example".to_owned()]))),
        ] {
            let environment = vec![("FANFARE_CORS_ORIGINS".to_owned(), list.into())];
            let effective = Inputs { environment, ..Inputs::default() }.load().unwrap();
            assert_eq!(cors(&effective.settings).map(|cors| cors.origins), expected, "{list}");
        }
    }
}
