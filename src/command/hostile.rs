//! Hostile commands: reading any script ends, and its result is bounded.

use proptest::prelude::*;
use serde_json::json;

use crate::command::*;

/// Pieces of scripts. Hostile scripts are made of them.
const PIECES: &[&str] = &[
    "$",
    "$(",
    "$((",
    "${",
    "}",
    ")",
    "))",
    "`",
    "\"",
    "'",
    "$'",
    "\\",
    "\n",
    ";",
    " ",
    "|",
    "&",
    "&&",
    "||",
    "(",
    "((",
    "{ ",
    "; }",
    "<<EOF\n",
    "\nEOF\n",
    "<<-'E'\n",
    "\nE\n",
    "<",
    ">",
    ">>",
    "2>&1",
    "<(",
    "<<<",
    "99999999999>",
    "if ",
    "then ",
    "else ",
    "elif ",
    "fi ",
    "for x in ",
    "do ",
    "done ",
    "while ",
    "case x in ",
    "a) ",
    ";; ",
    "esac ",
    "function f ",
    "f() ",
    "f ",
    "[[ ",
    " ]]",
    "! ",
    "time ",
    "A=",
    "A+=",
    "A=(",
    "B=$A$A ",
    "A=$B$B ",
    "export ",
    "local ",
    "set -- ",
    "shift ",
    "eval ",
    "source /s ",
    ". /s ",
    "exec ",
    "bash -c ",
    "sh ",
    "env ",
    "cd ",
    "cat > /s ",
    "echo ",
    "torchrun ",
    "python ",
    "-m ",
    "-c ",
    "-- ",
    "--nnodes ",
    "--x=1 ",
    "train.py ",
    "mpirun -x A=1 ",
    "accelerate launch ",
    "$A ",
    "\"$@\" ",
    "${A:-",
    "${A%",
    "${A[@]",
    "${@:1",
    "${#A}",
    "$1 ",
    "é",
    "\u{0}",
    "\u{feff}",
    "~",
    "*",
    "{a,b}",
    "1 ",
    "08 ",
    "+",
    "*",
    "/0 ",
    "expr ",
    "#",
    "\t",
];

fn bytes(launches: &[Launch]) -> usize {
    let words = |arguments: &Arguments| arguments.words().iter().map(|word| word.text.len()).sum::<usize>();
    let of = |launch: &Launch| {
        let launchers: usize = launch.launchers.iter().map(|launcher| words(&launcher.arguments)).sum();
        let files: usize = launch.files.iter().map(|(path, file)| path.len() + file.text.len()).sum();
        launchers + files + words(&launch.arguments)
    };
    launches.iter().map(of).max().unwrap_or(0)
}

fn read(container: &Value) -> Vec<Launch> {
    let template = json!({"spec": {"containers": [container]}});
    let groups = [PodGroup { role: "", template: &template, path: String::new(), replicas: Some(1) }];
    launches(&groups, None, &[], &Surroundings::default(), "").launches
}

proptest! {
    #[test]
    fn no_script_makes_reading_panic_or_grow_without_bound(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..120),
        as_words in any::<bool>(),
    ) {
        let script = pieces.concat();
        let command = if as_words { json!(pieces) } else { json!(["bash", "-c", script, "x", "y"]) };
        let launches = read(&json!({"command": command, "env": [{"name": "E", "value": script}]}));
        prop_assert!(launches.len() <= MOST_LAUNCHES);
        prop_assert!(bytes(&launches) <= 2 << 20);
    }
}

pub(crate) fn doubling() -> Vec<String> {
    let doubling = (0..200).fold("A=xxxxxxxx\n".to_owned(), |script, _| script + "A=\"$A$A\"\n")
        + "torchrun train.py $A";
    let recursive = "f() { f; f; torchrun train.py; }; f";
    let loops = format!("{}torchrun a.py{}", "for i in 1 2; do ".repeat(20), "; done".repeat(20));
    let evals = "A='eval \"$A\"; eval \"$A\"; python a.py'; eval \"$A\"";
    let sources = "cat > /s <<'EOF'\n. /s; . /s; python a.py\nEOF\n. /s";
    let arrays =
        "A=(a b c d); ".to_owned() + &"A=(\"${A[@]}\" \"${A[@]}\"); ".repeat(100) + "python a.py \"${A[@]}\"";
    let shells = (0..8)
        .fold("torchrun a.py".to_owned(), |script, _| format!("bash -c {script:?}; bash -c {script:?}"));
    let appended =
        "echo x > /f\n".to_owned() + &"A=\"$A$A$A x\"; echo \"$A$A\" >> /f\n".repeat(300) + "python a.py";
    let branches =
        format!("{}torchrun a.py{}", "if a; then b=$b$b; ".repeat(20), "; else python b.py; fi".repeat(20));
    let (openings, documents) = ("$(".repeat(400_000), "$(cat <<E\n".repeat(100_000));
    [
        &doubling, recursive, &loops, evals, sources, &arrays, &shells, &appended, &branches, &openings,
        &documents,
    ]
    .map(ToString::to_string)
    .into()
}

#[test]
fn text_that_doubles_at_every_step_is_cut() {
    for script in doubling() {
        let launches = read(&json!({"command": ["bash", "-c", script]}));
        assert!(launches.len() <= MOST_LAUNCHES && bytes(&launches) <= 2 << 20, "{script:.60}");
    }
}
