#![cfg(test)]
//! What the README, the quick start and the page on live polling tell a reader to do works: their scripts and commands are
//! taken from the pages and run against the real binary with the real client.

mod support;

use std::fs;

use support::script::{Script, block, page, shell, with_client};
use support::{Running, is_published};

#[test]
fn a_stock_client_prints_what_one_curl_publishes() {
    let readme = page("README.md");
    let script = block(&readme, "js", "socket.io-client");
    assert_eq!(script, page("examples/hello-client/hello.mjs"), "the page shows the file");
    let expected = block(&readme, "text", "hello");
    let mut expected = expected.lines();

    let folder = with_client();
    let server = Running::start_in(&folder.path().join("data"), &[]);
    let client = Script::start(folder.path(), &script, &server);
    assert_eq!(Some(client.line().as_str()), expected.next());
    let answer = shell(&block(&readme, "sh", "curl"), folder.path(), &server);
    assert!(is_published(&answer), "{answer}");
    for line in expected {
        assert_eq!(client.line(), line);
    }
}

#[test]
fn the_quick_start_publishes_from_the_shell_and_from_node() {
    let quick_start = page("docs/quick-start.md");
    let folder = with_client();
    let server = Running::start_in(&folder.path().join("data"), &[]);
    // What the page in the browser does, without the browser's document.
    let listener = block(&quick_start, "html", "<script>");
    let (_, listener) = listener.split_once("<script>").unwrap();
    let (listener, _) = listener.split_once("</script>").unwrap();
    let listener = format!(
        "import {{ io }} from \"socket.io-client\";
         const list = {{ append: (item) => console.log(item.textContent) }};
         const document = {{ createElement: () => ({{}}), getElementById: () => list }};
         {listener}"
    );
    let page = Script::start(folder.path(), &listener, &server);
    assert_eq!(page.line(), "{ ok: true, room: 'news' }");
    let answer = shell(&block(&quick_start, "sh", "curl"), folder.path(), &server);
    assert!(is_published(&answer), "{answer}");
    assert_eq!(page.line(), "It works");

    let backend = block(&quick_start, "js", "fetch(");
    assert_eq!(Script::start(folder.path(), &backend, &server).ended(), [""; 0]);
    assert_eq!(page.line(), "It works");
}

#[test]
fn the_settings_in_the_quick_start_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    fs::write(&file, block(&page("docs/quick-start.md"), "toml", "listen")).unwrap();
    let output = support::run(support::fanfare(&["config", "--config"]).arg(&file));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", support::stderr(&output));
    assert!(printed.contains("0.0.0.0:3000") && printed.contains("rooms_per_socket"), "{printed}");
}

/// The presenter's and the participant's part by `curl`, and a screen that listens: the screen hears of the
/// vote that the shell sends.
#[test]
fn the_walk_of_live_polling_ends_with_a_vote_on_a_screen() {
    let walk = page("docs/livepoll.md");
    let folder = with_client();
    let server = Running::start_in(&folder.path().join("data"), &["--livepoll-enabled=true"]);
    // The walk in two parts, with the screen between them.
    let steps = block(&walk, "sh", "/sessions");
    let (first, second) = steps.split_once("\njoined=").unwrap();
    let keep = "printf '%s' \"$session\" > session; echo \"$presenter\"";
    let printed = shell(&format!("{first}\n{keep}"), folder.path(), &server);
    let token = printed.lines().last().unwrap().strip_prefix("Authorization: Bearer ").unwrap();
    let screen = block(&walk, "js", "socket.io-client").replace('…', token);
    let screen = Script::start(folder.path(), &screen, &server);
    assert_eq!(screen.line(), "listening as presenter");

    let (beginning, _) = first.split_once("\nsession=").unwrap();
    let again = "session=$(cat session); id=$(echo \"$session\" | sed -E 's/.*\"id\":\"(ses_[^\"]*)\".*/\\1/'); \
                 presenter=\"Authorization: Bearer $(echo \"$session\" | field presenterToken)\"";
    let printed = shell(&format!("{beginning}\n{again}\njoined={second}"), folder.path(), &server);
    let results = printed.lines().last().unwrap();
    assert!(results.contains(r#""votes":1,"kind":"single_choice""#), "{printed}");
    assert!(results.contains(r#"{"id":"opt_1","label":"Tea","votes":1}"#), "{printed}");
    assert_eq!(screen.line(), "1 votes");
}
