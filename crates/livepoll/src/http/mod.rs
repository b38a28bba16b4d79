//! Live polling over HTTP: `/sessions` and `/polls`.
//!
//! Who asks shows a token; what is refused is a [`Problem`](problem::Problem).

mod cors;
mod export;
mod polls;
mod problem;
mod sessions;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use serde::de::DeserializeOwned;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use problem::Told;
pub(crate) use problem::{Problem, reason};

use crate::Livepoll;
use crate::domain::{PollId, SessionId};
use crate::error::Refused;
use crate::limits::Address;
use crate::token::Seat;

/// What the description says of it.
#[derive(OpenApi)]
#[openapi(
    tags((name = "live polling", description = "Sessions, participants, polls and votes.")),
    components(schemas(Problem)),
    modifiers(&Tokens)
)]
struct Description;

/// How a request shows who asks.
struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        bearer.description = Some("The token of a presenter or a participant.".to_owned());
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("livepoll", SecurityScheme::Http(bearer));
    }
}

/// The routes, and their description.
pub(crate) fn routes(livepoll: &Livepoll) -> (Router, utoipa::openapi::OpenApi) {
    let described: OpenApiRouter<Livepoll> = OpenApiRouter::with_openapi(Description::openapi())
        .merge(sessions::routes())
        .merge(polls::routes())
        .merge(export::routes());
    let (router, description) = described.split_for_parts();
    let router = router.method_not_allowed_fallback(async || Problem::method());
    let counting = middleware::from_fn_with_state(livepoll.clone(), count_refusals);
    let router = router.layer(counting);
    let router = router.layer(middleware::from_fn_with_state(livepoll.clone(), cors::allow));
    (router.with_state(livepoll.clone()), description)
}

/// Counts what is refused, by code.
async fn count_refusals(
    State(livepoll): State<Livepoll>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if let Some(Told(code)) = response.extensions().get() {
        livepoll.counters().refused(code);
    }
    response
}

impl FromRequestParts<Livepoll> for Seat {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, state: &Livepoll) -> Result<Self, Refused> {
        state.seat(bearer(&head.headers).ok_or(Refused::Unauthorized)?)
    }
}

/// The token of `Bearer <token>`; the scheme in any case, the header once.
///
/// Spec: RFC 6750 § 2.1, RFC 9110 § 11.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The session of a path. What is no id is no session.
struct SessionPath(SessionId);

impl FromRequestParts<Livepoll> for SessionPath {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, state: &Livepoll) -> Result<Self, Refused> {
        let text = Path::<String>::from_request_parts(head, state).await;
        let id = text.ok().and_then(|text| SessionId::parse(&text));
        id.map(SessionPath).ok_or(Refused::NoSession)
    }
}

/// The poll of a path. What is no id is no poll.
struct PollPath(PollId);

impl FromRequestParts<Livepoll> for PollPath {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, state: &Livepoll) -> Result<Self, Refused> {
        let text = Path::<String>::from_request_parts(head, state).await;
        let id = text.ok().and_then(|text| PollId::parse(&text));
        id.map(PollPath).ok_or(Refused::NoPoll)
    }
}

/// Where a request came from. All of those whose address is unknown count as one.
struct From(Address);

impl FromRequestParts<Livepoll> for From {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &Livepoll) -> Result<Self, Refused> {
        let info = head.extensions.get::<ConnectInfo<SocketAddr>>();
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Ok(From(Address::of(info.map_or(unknown, |ConnectInfo(address)| address.ip()))))
    }
}

/// The body of a request as a value. The handler's other arguments come first: nothing is read of
/// somebody without a token.
struct Json<T>(T);

impl<T: DeserializeOwned> FromRequest<Livepoll> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request<Body>, state: &Livepoll) -> Result<Self, Refused> {
        let (head, body) = request.into_parts();
        let read = services::json_body(state.context(), &head.headers, body).await;
        read.map(Json).map_err(|refusal| Refused::Form(Box::new(refusal)))
    }
}
