use super::*;

fn file(text: &str) -> PolicyFile {
    PolicyFile { name: "own.cedar".to_owned(), text: text.to_owned() }
}

#[track_caller]
fn check(text: &str, want: &str) {
    let problems = Source::new(&[file(text)]).map(|_| ()).unwrap_err().to_string();
    assert!(problems.contains(want), "{text:.200}\n{problems}");
}

#[test]
fn a_problem_is_told_with_file_line_and_what_is_wrong() {
    check("permit (principal, action, resource)", "own.cedar:1: ");
    check("\n\npermit (principal action, resource);", "own.cedar:3: ");
    check("permit (principal, action, resource)\nwhen {\n  principal.age > };", "own.cedar:3: ");
    // Against the schema.
    check("permit (principal in Role::\"boss\", action, resource);", "own.cedar:1: ");
    check(
        "// who\n\npermit (principal == User::\"anna\", action == Action::\"fly\", resource);",
        "own.cedar:3: ",
    );
    check("permit (principal is User, action, resource) when { principal.age > 3 };", "own.cedar:1: ");
    check("permit (principal is Device, action == Action::\"keys:manage\", resource);", "own.cedar:1: ");
    check("permit (principal == ?principal, action, resource);", "own.cedar:1: ");
    check(
        "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);",
        "own.cedar:2: ",
    );
}

#[test]
fn what_would_take_long_or_a_deep_stack_is_refused_before_it_is_parsed() {
    let all = "permit (principal, action, resource);\n";
    check(&all.repeat(10_000), "bytes are more than");
    check(&"permit(principal,action,resource);".repeat(1001), "policies are more than");
    let deep = format!(
        "permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    check(&deep, "brackets are inside each other");
    let long = format!("permit (principal, action, resource) when {{ true{} }};", " && true".repeat(5000));
    check(&long, "the policy has more than");
    let unfinished = format!("permit (principal, action, resource) when {{ \"{}", "x".repeat(9000));
    check(&unfinished, "own.cedar:1: ");
    let files: Vec<PolicyFile> =
        (0..=FILES_MAX).map(|n| PolicyFile { name: format!("{n}.cedar"), text: String::new() }).collect();
    assert!(Source::new(&files).unwrap_err().to_string().contains("files are more than"));
}

#[test]
fn the_longest_policy_that_is_taken_does_not_exhaust_the_stack_of_a_small_thread() {
    let conditions = [" && true", " || false", " && !!!!true", "+1"].map(|part| {
        let body = part.repeat((POLICY_BYTES_MAX - 100) / part.len());
        if part == "+1" { format!("0{body} == 1") } else { format!("true{body}") }
    });
    for condition in conditions {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let read = move || drop(Source::new(&[file(&text)]));
        std::thread::Builder::new().stack_size(2 << 20).spawn(read).unwrap().join().unwrap();
    }
}

#[test]
fn semicolons_and_brackets_in_strings_and_comments_cut_nothing() {
    let text = "// a; b ((((\n@note(\"x; \\\" ) y\")\npermit (principal, action, resource); // ; {\n\
                forbid (principal, action, resource) when { \"a;)\" == \"b\" };";
    let source = Source::new(&[file(text)]);
    // The second can never apply, which is told; nothing else is.
    let problems = source.map(|_| ()).unwrap_err();
    assert_eq!(problems.0.iter().map(|p| p.line).collect::<Vec<_>>(), [4], "{problems}");
}

#[test]
fn names_of_files_are_plain() {
    for name in [
        "",
        "x",
        ".cedar",
        "../x.cedar",
        "a/b.cedar",
        "a b.cedar",
        "-x.cedar",
        &format!("{}.cedar", "x".repeat(60)),
    ] {
        let file = PolicyFile { name: name.to_owned(), text: String::new() };
        assert!(Source::new(&[file]).is_err(), "{name}");
    }
    let twice = [file(""), file("")];
    assert!(Source::new(&twice).unwrap_err().to_string().contains("twice"));
}

#[test]
fn a_policy_is_named_by_its_file_and_id_or_number() {
    let text = "permit (principal is User, action, resource);\n@id(\"night\") permit (principal is Token, action, resource);";
    let source = Source::new(&[file(text)]).unwrap();
    let ids: Vec<String> = source.policies().map(|p| p.id().to_string()).collect();
    assert_eq!(ids, ["own.cedar#1", "own.cedar#night"]);
    let place = source.place(&PolicyId::new("own.cedar#night")).unwrap();
    assert_eq!((place.file.as_str(), place.line), ("own.cedar", 2));
}
