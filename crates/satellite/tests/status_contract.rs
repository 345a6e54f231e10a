//! What the door for operators answers is what its published schemas say: every field that is
//! promised is there, and no field that is not promised.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::path::Path;

use satellite::config::ClockTrust;
use satellite::{Config, Satellite};
use serde_json::Value;

/// Where `value` is not what `schema` says; the part of JSON Schema that our pages use.
fn differences(schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_u64() || n.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed: Vec<&str> = match &schema["type"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let fits = allowed.contains(&kind) || kind == "integer" && allowed.contains(&"number");
    if !fits {
        wrong.push(format!("{at} is {kind}, not {allowed:?}"));
        return;
    }
    if let (Some(words), Some(word)) = (schema["enum"].as_array(), value.as_str())
        && !words.iter().any(|known| known == word)
    {
        wrong.push(format!("{at} is '{word}', not one of {words:?}"));
    }
    if schema["format"] == "utc"
        && let Some(text) = value.as_str()
        && jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.3f", text).is_err()
    {
        wrong.push(format!("{at} is '{text}', not a time"));
    }
    if value.is_null() {
        return;
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            wrong.push(format!("{at}.{required} is missing"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name);
        match known.or_else(|| schema.get("additionalProperties")) {
            Some(schema) => differences(schema, inner, &format!("{at}.{name}"), wrong),
            None => wrong.push(format!("{at}.{name} is not promised")),
        }
    }
    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
        differences(&schema["items"], inner, &format!("{at}[{index}]"), wrong);
    }
}

fn schema(name: &str) -> Value {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = std::fs::read_to_string(docs.join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn fetched(at: std::net::SocketAddr, path: &str) -> Value {
    let url = format!("http://{at}{path}").parse().unwrap();
    let answer = fetch::Fetch::get(url).send().await.unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

/// Posts one record of a terminal; answers what it hears.
async fn punch(at: std::net::SocketAddr, serial: &str, line: &'static str) -> String {
    let url = format!("http://{at}/iclock/cdata?SN={serial}&table=ATTLOG&Stamp=1");
    let post = fetch::Fetch::post(url.parse().unwrap(), "text/plain", line);
    String::from_utf8(post.send().await.unwrap().body).unwrap()
}

/// Has a terminal enrol itself by its first contact; its record comes with the next.
async fn enrolled(at: std::net::SocketAddr, serial: &str) {
    for _ in 0..100 {
        let said = punch(at, serial, "7\t2026-11-21 09:00:00\t0\t1\n").await;
        if said.starts_with("OK") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A satellite with a terminal that has sent something.
async fn lively(folder: &Path) -> satellite::Running {
    let mut config = Config::in_folder(folder);
    config.listen.devices = "127.0.0.1:0".parse().unwrap();
    config.listen.admin = "127.0.0.1:0".parse().unwrap();
    config.clock = ClockTrust::Trusted;
    config.unknown = satellite::config::Unknown::Accept(config.tenants[0].id.clone());
    let running = Satellite::start(config).await.unwrap();
    enrolled(running.devices, "LIVELY1").await;
    punch(running.devices, "LIVELY1", "not a record\n").await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_devices_answer_what_their_schemas_promise_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let running = lively(folder.path()).await;
    for (path, name) in [
        ("/status", "status.schema.json"),
        ("/devices", "devices.schema.json"),
    ] {
        let answer = fetched(running.admin, path).await;
        let mut wrong = Vec::new();
        differences(&schema(name), &answer, path, &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}\n{answer:#}");
    }
    let status = fetched(running.admin, "/status").await;
    assert_eq!(status["totals"]["committed"], 1, "{status:#}");
    assert_eq!(
        status["totals"]["quarantined"].as_object().unwrap().len(),
        1
    );
    let devices = fetched(running.admin, "/devices").await;
    assert_eq!(devices["devices"][0]["serial"], "LIVELY1");
    assert_eq!(devices["devices"][0]["state"], "online");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_by_page_the_terminals_are_those_of_the_whole_list() {
    let folder = tempfile::tempdir().unwrap();
    let running = lively(folder.path()).await;
    let serials = |page: &Value| -> Vec<String> {
        let all = page["devices"].as_array().unwrap().iter();
        all.map(|one| one["serial"].as_str().unwrap().to_owned())
            .collect()
    };
    for serial in ["LIVELY3", "LIVELY2"] {
        enrolled(running.devices, serial).await;
    }
    let whole = fetched(running.admin, "/devices").await;
    assert!(
        serials(&whole).len() == 3 && whole["next"].is_null(),
        "{whole:#}"
    );
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = fetched(running.admin, &format!("/devices?limit=1{after}")).await;
        paged.extend(serials(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        after = format!("&after={next}");
    }
    assert_eq!(paged, serials(&whole));
    let one = fetched(running.admin, "/devices?serial=LIVELY1").await;
    assert_eq!(serials(&one), ["LIVELY1"]);
    for nobody in ["tenant=nobody", "with_conditions=true&serial=LIVELY1"] {
        let none = fetched(running.admin, &format!("/devices?{nobody}")).await;
        assert_eq!(serials(&none), Vec::<String>::new(), "{nobody}");
    }
    let refused = fetched(running.admin, "/devices?tenants=acme").await;
    assert!(refused["error"].is_string(), "{refused:#}");
    running.stop().await;
}

#[test]
fn a_difference_from_a_schema_is_found() {
    let schema = schema("devices.schema.json");
    let answer = serde_json::json!({"at": "today", "loaded": 1, "devices": [{"more": 1}]});
    let mut wrong = Vec::new();
    differences(&schema, &answer, "", &mut wrong);
    let all = wrong.join("\n");
    for part in [
        "not a time",
        "loaded is integer",
        "serial",
        "more is not promised",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
}
