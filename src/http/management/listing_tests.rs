//! What RabbitMQ 3.10 answered to these queries.

use super::*;

fn query(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    Query(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn rows() -> Vec<(&'static str, i64)> {
    vec![("aliveness-test", 7), ("aq", 10), ("scene.empty", 0), ("w2", 9)]
}

fn show(row: &(&str, i64)) -> Value {
    json!({ "name": row.0, "messages": row.1, "stats": { "a": { "rate": row.1 }, "b": 1 } })
}

async fn ask(text: &str) -> (u16, Value) {
    use axum::response::IntoResponse as _;
    let response = Listing::of(&query(text)).and_then(|listing| listing.answer(rows(), |row| row.0, show));
    let response = response.unwrap_or_else(axum::response::IntoResponse::into_response).into_response();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn names(text: &str) -> Vec<String> {
    let (status, body) = ask(&format!("{text}&columns=name")).await;
    assert_eq!(status, 200, "{body}");
    let items = body.get("items").unwrap_or(&body).as_array().unwrap().clone();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_page_says_how_many_there_are() {
    let (_, body) = ask("page=1&page_size=3&columns=name").await;
    let expected = json!({
        "filtered_count": 4, "item_count": 3, "page": 1, "page_count": 2, "page_size": 3, "total_count": 4,
        "items": [{ "name": "aliveness-test" }, { "name": "aq" }, { "name": "scene.empty" }],
    });
    assert_eq!(body, expected);
    let (_, none) = ask("page=1&name=zzz").await;
    let expected = json!({
        "filtered_count": 0, "item_count": 0, "items": [], "page": 1, "page_count": 0, "page_size": 100, "total_count": 4,
    });
    assert_eq!(none, expected);
}

#[tokio::test]
async fn names_are_filtered_on_pages_only_and_without_regard_to_case() {
    assert_eq!(names("name=scene").await.len(), 4);
    assert_eq!(names("page=1&name=SCENE.E").await, ["scene.empty"]);
    assert_eq!(names("page=1&name=^A&use_regex=true&pagination=false").await, ["aliveness-test", "aq"]);
}

#[tokio::test]
async fn rows_are_sorted_by_any_column() {
    assert_eq!(names("sort=messages").await, ["scene.empty", "aliveness-test", "w2", "aq"]);
    assert_eq!(names("sort=stats.a.rate&sort_reverse=true").await, ["aq", "w2", "aliveness-test", "scene.empty"]);
    assert_eq!(names("sort=nonsense").await, ["aliveness-test", "aq", "scene.empty", "w2"]);
}

#[tokio::test]
async fn columns_may_be_nested() {
    let (_, body) = ask("page=1&page_size=1&columns=name,stats.a.rate,nonsense.x").await;
    assert_eq!(body["items"], json!([{ "name": "aliveness-test", "stats": { "a": { "rate": 7 } } }]));
}

#[tokio::test]
async fn columns_are_bounded() {
    let many = |count: usize| format!("columns={}", vec!["name"; count].join(","));
    let deep = |word: &str, parts: usize| format!("{word}={}", vec!["a"; parts].join("."));
    for (good, bad) in [
        (many(255), many(257)),
        (many(256), many(60_000)),
        (deep("columns", 16), deep("columns", 17)),
        (deep("sort", 16), deep("sort", 17)),
    ] {
        assert_eq!(ask(&good).await.0, 200);
        let (status, body) = ask(&bad).await;
        assert_eq!((status, body["error"].as_str()), (400, Some("bad_request")));
        assert!(body["reason"].as_str().is_some_and(|reason| reason.contains("at most")), "{body}");
    }
}

#[tokio::test]
async fn bad_pages_are_refused_in_rabbitmqs_words() {
    for (text, error, reason) in [
        (
            "page=0",
            "invalid_pagination_parameters",
            "Invalid pagination parameters: page number 0, page size undefined",
        ),
        (
            "page=1&page_size=501",
            "invalid_pagination_parameters",
            "Invalid pagination parameters: page number 1, page size 501",
        ),
        ("page=9&page_size=10", "page_out_of_range", "Page out of range, page: 9 page size: 10, len: 4"),
        ("page=a", "bad_request", "Pagination parameters are invalid"),
        ("page=1&name=(&use_regex=true", "bad_request", "Pagination parameters are invalid"),
    ] {
        assert_eq!(ask(text).await, (400, json!({ "error": error, "reason": reason })), "{text}");
    }
}
