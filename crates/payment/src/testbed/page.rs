//! The page where somebody pays: the only place that sees a card.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use url::form_urlencoded;

use super::cards::{ACCEPTED, Card, DECLINED, DISPUTED};
use super::ledger::{Paid, Record};
use super::server::Testbed;
use crate::provider::{PaymentId, Status};

/// No script, nothing from elsewhere, in nobody's frame. A form may lead on to whoever sells.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:2rem auto;padding:0 1rem;color:#222;\
     background:#fff}h1{font-size:1.3rem}label{display:block;font-weight:600}input{font:inherit;width:100%;\
     box-sizing:border-box;padding:.6rem;margin:.3rem 0 1rem;border:1px solid #666;border-radius:4px}\
     button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:4px;background:#1b5e20;color:#fff}\
     .bad{color:#8b0000;font-weight:600}.note{background:#fff3cd;padding:.5rem .8rem;border-radius:4px}";

pub(super) fn router() -> Router<Arc<Testbed>> {
    Router::new().route("/checkout/{id}", get(show).post(pay))
}

async fn show(State(testbed): State<Arc<Testbed>>, Path(id): Path<String>) -> Response {
    let record = id.parse::<PaymentId>().ok().and_then(|id| testbed.ledger().get(&id).ok());
    match record {
        Some(record) => page(StatusCode::OK, &form(&record, None)),
        None => page(StatusCode::NOT_FOUND, "<h1>There is no such payment</h1>"),
    }
}

async fn pay(State(testbed): State<Arc<Testbed>>, Path(id): Path<String>, body: Bytes) -> Response {
    let Some((id, record)) = id.parse::<PaymentId>().ok().and_then(|id| {
        let record = testbed.ledger().get(&id).ok()?;
        Some((id, record))
    }) else {
        return page(StatusCode::NOT_FOUND, "<h1>There is no such payment</h1>");
    };
    let number = form_urlencoded::parse(&body).find(|(name, _)| name == "card").map(|(_, value)| value);
    let Some(card) = number.and_then(|number| Card::of(&number)) else {
        return page(StatusCode::BAD_REQUEST, &form(&record, Some("This is no test card.")));
    };
    let paid = testbed.ledger().pay(&id, card);
    match paid {
        Ok(Paid::Authorised) => {
            testbed.messages.notify_one();
            Redirect::to(&record.return_url).into_response()
        }
        Ok(Paid::Declined) => page(StatusCode::OK, &form(&record, Some("The card was declined."))),
        Err(fault) => page(StatusCode::CONFLICT, &form(&record, Some(&fault.to_string()))),
    }
}

fn form(record: &Record, problem: Option<&str>) -> String {
    let (price, what) = (record.payment.price, escaped(&record.description));
    let back = escaped(&record.return_url);
    let problem = problem.map(|text| format!("<p class=\"bad\" role=\"alert\">{}</p>", escaped(text)));
    let head = format!("<h1>Pay {price}</h1><p>{what}</p>{}", problem.unwrap_or_default());
    if record.payment.status != Status::Open {
        return format!("{head}<p>Nothing is left to pay here.</p><p><a href=\"{back}\">Go back</a></p>");
    }
    format!(
        "{head}<form method=\"post\"><label for=\"card\">Card number</label>\
         <input id=\"card\" name=\"card\" inputmode=\"numeric\" autocomplete=\"off\" required>\
         <button>Pay {price}</button></form>\
         <p class=\"note\">Test cards: {ACCEPTED} pays, {DECLINED} is declined, {DISPUTED} pays and is disputed.</p>\
         <p><a href=\"{back}\">Do not pay</a></p>"
    )
}

fn page(status: StatusCode, content: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Test payment</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>\
         <main><p class=\"note\"><strong>Test.</strong> No card and no money here is real.</p>{content}</main></html>"
    );
    let fixed = |text| HeaderValue::from_static(text);
    let headers = [
        (header::CONTENT_SECURITY_POLICY, fixed(POLICY)),
        (header::CACHE_CONTROL, fixed("no-store")),
        (header::REFERRER_POLICY, fixed("no-referrer")),
        (HeaderName::from_static("x-content-type-options"), fixed("nosniff")),
    ];
    (status, headers, Html(html)).into_response()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
