//! The HTTP API: the routes of all services, and their description.
//!
//! A service has a function `routes`, which gives its handlers with what they say about themselves
//! (`#[utoipa::path]`); they are joined here. The description is served at [`DESCRIPTION_PATH`], and
//! as a page to read and try it at [`PAGE_PATH`]: nothing of that page is fetched from elsewhere.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::any;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::code::Code;
use crate::refusal::Refusal;
use crate::{
    Services, chat, history, identity, jobs, live, presence, publish, rooms, sessions, sse, stats,
    users,
};

/// Where the description is.
pub const DESCRIPTION_PATH: &str = "/v1/openapi.json";

/// Where the page is.
pub const PAGE_PATH: &str = "/v1/docs";

/// What the page may do: run its own scripts and styles, and ask this server.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; \
                           base-uri 'none'; form-action 'none'";

/// What the description says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Fanfare",
        description = "The real-time tier of an application. Every answer is JSON with `ok`; a refusal \
                       has `error: {code, message, details, timestamp}`."
    ),
    paths(publish::answer, publish::answer_batch, history::answer, sse::answer),
    modifiers(&Schemes)
)]
struct Description;

/// How callers show who they are.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let components = description.components.get_or_insert_default();
        for (name, what) in
            [("key", "The API key of a backend."), ("token", "The token of a user.")]
        {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(what));
            components.add_security_scheme(name, SecurityScheme::Http(bearer.build()));
        }
    }
}

/// All routes under `/v1`, and the description of them and of others.
pub(crate) fn router(services: &Services, others: Option<utoipa::openapi::OpenApi>) -> Router {
    let (routes, mut description) = described().split_for_parts();
    if let Some(others) = others {
        description.merge(others);
    }
    name_operations(&mut description);
    let [publish, batch, history, sse] = [(); 4].map(|()| services.context.clone());
    let config = Config::new([DESCRIPTION_PATH]).use_base_layout().validator_url("none");
    let page = SwaggerUi::new(PAGE_PATH).url(DESCRIPTION_PATH, description).config(config);
    let page = Router::from(page).layer(middleware::map_response(page_headers));
    routes
        .method_not_allowed_fallback(async || {
            let message = "The method is not one of this path; the header Allow names them.";
            Refusal::new(Code::MethodNotAllowed, message)
        })
        .route(
            publish::BATCH_PATH,
            any(async move |request| publish::answer_batch(&batch, request).await),
        )
        .route(publish::PATH, any(async move |request| publish::answer(&publish, request).await))
        .route(
            history::PATH,
            any(async move |room, request| history::answer(&history, room, request).await),
        )
        .route(sse::PATH, any(async move |request| sse::answer(&sse, request).await))
        .with_state(services.clone())
        .merge(page)
}

fn described() -> OpenApiRouter<Services> {
    let whole = OpenApiRouter::with_openapi(Description::openapi());
    parts().into_iter().fold(whole, OpenApiRouter::merge)
}

fn parts() -> [OpenApiRouter<Services>; 9] {
    [
        identity::routes(),
        rooms::routes(),
        chat::routes(),
        jobs::routes(),
        sessions::routes(),
        presence::routes(),
        stats::routes(),
        live::routes(),
        users::routes(),
    ]
}

/// Gives each operation a name that no other has, for programs that make clients of the description:
/// `get_v1_rooms_roomId_history`. Handlers of different services have the same names.
fn name_operations(description: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut description.paths.paths {
        let path: String = path.chars().filter(|it| !matches!(it, '{' | '}')).collect();
        let path = path.trim_matches('/').replace(['/', '.', '-'], "_");
        for (method, operation) in [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ] {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{path}"));
            }
        }
    }
}

async fn page_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use serde_json::json;

    use super::*;

    /// Otherwise one would be described as the other.
    #[test]
    fn what_has_one_name_in_the_description_is_one_thing() {
        let mut seen = BTreeMap::new();
        for mut part in parts() {
            let components = part.to_openapi().components.unwrap_or_default();
            for (name, schema) in components.schemas {
                let schema = json!(schema);
                let before = seen.insert(name.clone(), schema.clone());
                assert!(before.is_none_or(|before| before == schema), "{name} is two things");
            }
        }
    }

    #[test]
    fn each_operation_has_a_name_of_its_own() {
        let (_, mut description) = described().split_for_parts();
        name_operations(&mut description);
        let description = json!(description);
        let paths = description["paths"].as_object().unwrap();
        let operations = paths.values().flat_map(|item| item.as_object().unwrap().values());
        let mut names = HashSet::new();
        for operation in operations {
            let name = operation["operationId"].as_str().unwrap();
            let plain = name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
            assert!(plain && names.insert(name.to_owned()), "{name}");
        }
        assert!(names.contains("get_v1_rooms_room_history"), "{names:?}");
    }
}
