//! What can be set. Every field has a default that suits most.

use std::sync::Arc;
use std::time::Duration;

use crate::access::AccessSettings;
use crate::chat::ChatSettings;
use crate::identity::IdentitySettings;
use crate::jobs::JobsSettings;
use crate::keys::KeyDigest;
use crate::limits::LimitsSettings;
use crate::origins::OriginCheck;
use crate::presence::PresenceSettings;
use crate::replay::RoomReplay;
use crate::rooms::RoomsSettings;
use crate::sessions::SessionsSettings;
use crate::webhooks::WebhooksSettings;

/// The settings of the services.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The namespaces that are served. Default: `/`.
    pub namespaces: Vec<String>,
    /// Whose connections are.
    pub identity: IdentitySettings,
    /// Who may what.
    pub access: AccessSettings,
    /// How much clients and backends may ask for in a time.
    pub limits: LimitsSettings,
    /// Keys of the HTTP API beside the first, each with a limit of its own. Default: none.
    pub further_keys: Vec<KeyDigest>,
    /// Which pages may open connections.
    pub origins: OriginCheck,
    /// The names of hosts that are served; addresses always are. Default: any name.
    pub hosts: Vec<String>,
    /// Rooms.
    pub rooms: RoomsSettings,
    /// Chat.
    pub chat: ChatSettings,
    /// Jobs.
    pub jobs: JobsSettings,
    /// Session rooms.
    pub sessions: SessionsSettings,
    /// Presence.
    pub presence: PresenceSettings,
    /// Webhooks.
    pub webhooks: WebhooksSettings,
    /// Which rooms give their last events to who joins. Default: none; only the application knows
    /// in which rooms the past is of use.
    pub replays: Arc<[RoomReplay]>,
    /// The largest body of a request, in bytes. Default: 1 MB, as for messages of clients.
    pub max_body_bytes: usize,
    /// How long a body may take to arrive. Default: 20 s, a megabyte over a bad network.
    pub body_deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            namespaces: vec!["/".to_owned()],
            identity: IdentitySettings::default(),
            access: AccessSettings::default(),
            limits: LimitsSettings::default(),
            further_keys: Vec::new(),
            origins: OriginCheck::default(),
            hosts: Vec::new(),
            rooms: RoomsSettings::default(),
            chat: ChatSettings::default(),
            jobs: JobsSettings::default(),
            sessions: SessionsSettings::default(),
            presence: PresenceSettings::default(),
            webhooks: WebhooksSettings::default(),
            replays: Arc::default(),
            max_body_bytes: 1_000_000,
            body_deadline: Duration::from_secs(20),
        }
    }
}
