#![cfg(test)]
#![cfg(target_os = "linux")]
//! The files of `deploy/` can be read, name settings that exist and values that are accepted, agree in ports,
//! paths and times, and ask for no more rights than the server needs.

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use support::{Running, fanfare, run, stderr};
use testkit::http_get;
use yaml_rust2::{Yaml, YamlLoader};

/// The paths that probes ask.
const PROBED: [&str; 2] = ["/health", "/health/ready"];

fn file(path: &str) -> String {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy"));
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&file(path)).unwrap()
}

/// The document of a kind.
fn of_kind(kind: &str) -> Yaml {
    let documents = yaml("kubernetes/fanfare.yaml");
    documents.into_iter().find(|it| it["kind"].as_str() == Some(kind)).unwrap()
}

/// The names that the program reads in its environment.
fn names() -> BTreeSet<String> {
    let output = run(&mut fanfare(&["config", "--json"]));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let mut names = BTreeSet::from(["FANFARE_CONFIG".to_owned()]);
    for row in rows {
        names.insert(row["env"].as_str().unwrap().to_owned());
        names.extend(
            row["aliases"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().into()),
        );
    }
    names
}

/// Seconds of `45`, `40s` or `8s`.
fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{text}"))
}

/// How long a server takes to end at most, with these settings: notice, leave-taking, grace.
fn longest_stop(environment: &[(String, String)]) -> u64 {
    let mut command = fanfare(&["config", "--json"]);
    let output = run(command.envs(environment.iter().cloned()));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{environment:?}: {}", stderr(&output)));
    let keys = ["drain.notice", "drain.within", "shutdown_grace"];
    let of = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap()["value"].clone();
    keys.iter().map(|key| seconds(of(key).as_str().unwrap())).sum()
}

/// The variables of a container, with something for what comes from a secret.
fn environment(container: &Yaml) -> Vec<(String, String)> {
    let entries = container["env"].as_vec().unwrap().iter();
    let value = |entry: &Yaml| match entry["value"].as_str() {
        Some(value) => value.to_owned(),
        None if entry["name"].as_str() == Some("REDIS_URL") => "redis://redis".to_owned(),
        None => "0123456789abcdef0123456789abcdef".to_owned(),
    };
    entries.map(|it| (it["name"].as_str().unwrap().to_owned(), value(it))).collect()
}

#[test]
fn every_variable_that_is_named_exists() {
    let names = names();
    for path in ["Dockerfile", "compose.yaml", "kubernetes/fanfare.yaml", "systemd/fanfare.service"]
    {
        let text = file(path);
        let is_part = |c: char| !(c.is_ascii_uppercase() || c == '_');
        let ours = text.split(is_part).filter(|word| word.starts_with("FANFARE_"));
        // Those are for the build.
        for word in ours.filter(|word| !matches!(*word, "FANFARE_CLIENT_BUNDLE" | "FANFARE_WEB")) {
            assert!(names.contains(word), "{path}: {word}");
        }
    }
    let container = of_kind("StatefulSet")["spec"]["template"]["spec"]["containers"][0].clone();
    for (name, _) in environment(&container) {
        assert!(names.contains(&name), "{name}");
    }
    let compose = yaml("compose.yaml")[0]["services"]["fanfare"]["environment"].clone();
    for name in compose.as_hash().unwrap().keys() {
        assert!(names.contains(name.as_str().unwrap()), "{name:?}");
    }
}

#[test]
fn kubernetes_asks_the_right_port_and_waits_long_enough() {
    let set = of_kind("StatefulSet");
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let environment = environment(container);
    let of = |name: &str| environment.iter().find(|(it, _)| it == name).unwrap().1.clone();
    let port = |name: &str| {
        let ports = container["ports"].as_vec().unwrap();
        let port = ports.iter().find(|it| it["name"].as_str() == Some(name)).unwrap();
        port["containerPort"].as_i64().unwrap().to_string()
    };
    assert_eq!(port("http"), of("PORT"));
    assert_eq!(format!("0.0.0.0:{}", port("metrics")), of("FANFARE_METRICS_LISTEN"));
    let annotations = &set["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"].as_str(), Some(&*port("metrics")));
    assert_eq!(of_kind("Service")["spec"]["ports"][0]["targetPort"].as_str(), Some("http"));
    for (probe, path) in
        [("startupProbe", PROBED[0]), ("livenessProbe", PROBED[0]), ("readinessProbe", PROBED[1])]
    {
        let asked = &container[probe]["httpGet"];
        assert_eq!((asked["path"].as_str(), asked["port"].as_str()), (Some(path), Some("http")));
    }
    let patience = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    let longest = longest_stop(&environment);
    assert!(patience.unsigned_abs() > longest, "{patience} s, and it takes {longest} s");
    // The balancer is told for longer than the probe takes to fail.
    let probe = &container["readinessProbe"];
    let fails =
        probe["periodSeconds"].as_i64().unwrap() * probe["failureThreshold"].as_i64().unwrap();
    assert!(seconds(&of("FANFARE_DRAIN_NOTICE")) > fails.unsigned_abs());
    // It begins below the volume, which the server does not own.
    let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    assert!(of("FANFARE_DATA").starts_with(&format!("{mount}/")));
}

#[test]
fn nothing_runs_with_more_rights_than_it_needs() {
    let pod = of_kind("StatefulSet")["spec"]["template"]["spec"].clone();
    assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    assert_eq!(pod["enableServiceLinks"].as_bool(), Some(false));
    let context = &pod["containers"][0]["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(context["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(context["capabilities"]["drop"][0].as_str(), Some("ALL"));

    let docker = file("Dockerfile");
    let user = docker.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    let uid = pod["securityContext"]["runAsUser"].as_i64().unwrap();
    assert_eq!(user, format!("{uid}:{uid}"));
    assert!(docker.contains(&format!("--uid {uid} ")));
    let stages = docker.lines().filter(|line| line.starts_with("FROM ")).count();
    assert!(stages >= 2 && docker.contains(r#"CMD ["fanfare", "health"]"#), "{docker}");

    let compose = yaml("compose.yaml")[0]["services"]["fanfare"].clone();
    assert_eq!(compose["read_only"].as_bool(), Some(true));
    assert_eq!(compose["cap_drop"][0].as_str(), Some("ALL"));
    for secret in ["FANFARE_API_KEY", "REDIS_PASSWORD"] {
        let value = compose["environment"][secret].as_str().unwrap();
        assert!(value.starts_with(&format!("${{{secret}:?")), "{value}");
    }
}

#[test]
fn compose_agrees_with_the_image_and_keeps_what_redis_has() {
    let compose = yaml("compose.yaml")[0].clone();
    let server = &compose["services"]["fanfare"];
    let port = server["environment"]["PORT"].as_str().unwrap();
    assert_eq!(server["ports"][0].as_str(), Some(&*format!("{port}:{port}")));
    let docker = file("Dockerfile");
    assert!(
        docker.contains(&format!("PORT={port} ")) && docker.contains(&format!("EXPOSE {port}\n"))
    );
    let mount = server["volumes"][0].as_str().unwrap().split_once(':').unwrap().1;
    assert!(docker.contains(&format!("FANFARE_DATA={mount}")) && docker.contains("VOLUME /data"));
    let patience = seconds(server["stop_grace_period"].as_str().unwrap());
    assert!(patience > longest_stop(&[]));
    let redis = &compose["services"]["redis"];
    assert_eq!(server["environment"]["REDIS_HOST"].as_str(), Some("redis"));
    let command = redis["command"][2].as_str().unwrap();
    assert!(
        command.contains("--maxmemory-policy noeviction") && command.contains("--appendonly yes")
    );
    // The files that the image is built from are there.
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let copied = docker.lines().filter_map(|line| line.strip_prefix("COPY "));
    for line in copied.filter(|line| !line.starts_with("--from")) {
        let (sources, _) = line.rsplit_once(' ').unwrap();
        for source in sources.split_whitespace() {
            assert!(root.join(source).exists(), "{source}");
        }
    }
}

#[test]
fn systemd_takes_the_unit_and_finds_it_closed() {
    let unit = file("systemd/fanfare.service");
    assert!(unit.contains("\nExecStart=/usr/local/bin/fanfare serve\n"));
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(seconds(stop) > longest_stop(&[]));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fanfare.service");
    std::fs::write(&path, unit.replace("/usr/local/bin/fanfare", env!("CARGO_BIN_EXE_fanfare")))
        .unwrap();
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&path).output();
        output.expect("systemd-analyze is part of systemd")
    };
    let verified = analyze(&["verify", "--man=no"]);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{}", stderr(&verified));
    let exposed = analyze(&["security", "--offline=true", "--threshold=20"]);
    assert!(exposed.status.success(), "{}", String::from_utf8_lossy(&exposed.stdout));
}

#[tokio::test]
async fn what_is_probed_answers() {
    let server = Running::start(&[]);
    for path in PROBED {
        assert_eq!(
            http_get(&format!("{}{path}", server.url())).await.unwrap().status,
            200,
            "{path}"
        );
    }
}
