-- One text for both databases: the words in braces differ, and are put in before it runs.

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    code       TEXT NOT NULL,
    title      TEXT NOT NULL,
    state      TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    started_ms BIGINT,
    ended_ms   BIGINT
);
-- A code belongs to one open session; it is free again when that has ended.
CREATE UNIQUE INDEX sessions_by_open_code ON sessions (code) WHERE state <> 'ended';
CREATE INDEX sessions_by_code ON sessions (code);
CREATE INDEX sessions_by_age ON sessions (created_ms);

CREATE TABLE participants (
    id           TEXT PRIMARY KEY,
    session_id   TEXT NOT NULL REFERENCES sessions (id),
    display_name TEXT NOT NULL,
    joined_ms    BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    presence     BIGINT NOT NULL -- 0: never connected, 1: connected, 2: others were told it is away
);
CREATE INDEX participants_by_session ON participants (session_id, joined_ms, id);
CREATE INDEX participants_by_sign ON participants (last_seen_ms) WHERE presence = 1;

CREATE TABLE polls (
    id           TEXT PRIMARY KEY,
    session_id   TEXT NOT NULL REFERENCES sessions (id),
    place        BIGINT NOT NULL,
    question     TEXT NOT NULL,
    kind         TEXT NOT NULL,
    first        BIGINT NOT NULL,
    second       BIGINT NOT NULL,
    options      TEXT NOT NULL,
    time_limit_s BIGINT,
    hide_results BIGINT NOT NULL,
    allow_change BIGINT NOT NULL,
    state        TEXT NOT NULL,
    created_ms   BIGINT NOT NULL,
    activated_ms BIGINT,
    until_ms     BIGINT,
    closed_ms    BIGINT
);
CREATE INDEX polls_by_session ON polls (session_id, place, id);
CREATE INDEX polls_by_end ON polls (until_ms) WHERE state = 'active';

-- One vote per participant and poll: whoever comes second is told by this key.
CREATE TABLE votes (
    poll_id        TEXT NOT NULL REFERENCES polls (id),
    participant_id TEXT NOT NULL,
    voted_ms       BIGINT NOT NULL,
    PRIMARY KEY (poll_id, participant_id)
);

-- What was chosen, in the order in which it is counted. There are no counters that could drift.
CREATE TABLE choices (
    poll_id        TEXT NOT NULL,
    item           TEXT NOT NULL,
    participant_id TEXT NOT NULL,
    PRIMARY KEY (poll_id, item, participant_id)
);
CREATE INDEX choices_by_vote ON choices (poll_id, participant_id);

-- Events that are not published yet, written in the transaction that made them true.
CREATE TABLE outbox (
    seq        {serial} PRIMARY KEY,
    event_id   TEXT NOT NULL,
    session_id TEXT NOT NULL,
    voter_id   TEXT,
    audience   TEXT NOT NULL,
    event_type TEXT NOT NULL,
    at_ms      BIGINT NOT NULL,
    payload    TEXT NOT NULL
);

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- What only one node at a time does.
CREATE TABLE leases (
    name     TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    until_ms BIGINT NOT NULL
);
