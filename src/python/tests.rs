//! Values of arguments, one rule a test; and hostile programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// Options and variables by name.
#[derive(Default)]
struct Started {
    options: BTreeMap<&'static str, Passed>,
    variables: BTreeMap<&'static str, Passed>,
}

impl Given for Started {
    fn option(&self, spellings: &[String]) -> Option<Passed> {
        spellings.iter().find_map(|name| self.options.get(name.as_str()).cloned())
    }

    fn variable(&self, name: &str) -> Option<Passed> {
        self.variables.get(name).cloned()
    }
}

/// The arguments of the calls of `f`, a line each.
fn seen(text: &str, started: &Started) -> String {
    let program = read(text, started, &mut 40_000).unwrap();
    let mut lines = String::new();
    for call in program.calls.iter().filter(|call| call.name() == "f") {
        let show = |value: &Value| match value {
            Value::Plain(value) => value.to_string(),
            Value::Call(at) => format!("{}()", program.calls.get(*at).map_or("", |call| call.name())),
            Value::Unknown => "?".to_owned(),
        };
        let positional = call.positional.iter().map(show);
        let named = call.named.iter().map(|(name, value)| format!("{name}={}", show(value)));
        let arguments: Vec<_> = positional.chain(named).collect();
        let more = if call.may_have_more { ", more" } else { "" };
        let runs = match call.runs {
            Some(true) => "",
            Some(false) => "  (not run)",
            None => "  (perhaps)",
        };
        let _ = writeln!(lines, "{}{more}{runs}", arguments.join(", "));
    }
    lines
}

fn plainly(text: &str) -> String {
    seen(text, &Started::default())
}

#[test]
fn literals_and_what_follows_from_them_are_known() {
    let text = r#"
import os, torch
SIZE = "8B"
BASE = {"r": 16, "bias": "none"}
f("a" "b", f"llama-{SIZE}", 2 * 3 + 1, 4 // 3, 2e-4, -1, [1, "x"], torch.bfloat16, None)
f(SIZE == "8B", not True, "q" in ["q", "v"], BASE["r"], BASE.get("x", 7), dict(a=1), int("8"), 1 if SIZE else 2)
f(**BASE, r2=BASE.get("r"))
f(os.path.join("/models", "x"), getattr(torch, "float16"), unknown, unknown + 1, f"{unknown}", input())
f(*rest, **settings)
"#;
    insta::assert_snapshot!(plainly(text), @r#"
    "ab", "llama-8B", 7, 1, 0.0002, -1, [1,"x"], "bfloat16", null
    true, false, true, 16, 7, {"a":1}, 8, 1
    bias="none", r=16, r2=16
    "/models/x", "float16", ?, ?, ?, input()
    , more
    "#);
}

#[test]
fn a_name_has_the_values_that_it_may_have_where_it_is_used() {
    let text = "
a = 1
b = 1
b = 2
c = 3
c += 1
for d in range(3): pass
e, g = 5, 6
h = {'r': 1}
h['r'] = 2
i = []
i.append(1)
try:
    j = 1
except ValueError:
    j = 1
f(a, b, c, d, e, g, h, i, j)
def inner(a):
    a = 9
    global k
    k = 1
k = 2
inner(0)
f(a, k)
";
    insta::assert_snapshot!(plainly(text), @"
    1, 2, ?, ?, 5, 6, ?, ?, 1
    1, ?
    ");
}

#[test]
fn a_binding_hides_those_before_it_if_it_surely_runs() {
    for (text, seen) in [
        ("c = AutoConfig(a)\nc = LoraConfig(8)\nf(c)", "LoraConfig()"),
        ("c = AutoConfig(a)\nf(c)\nc = LoraConfig(8)", "AutoConfig()"),
        ("a = 1\nif unknown:\n    a = 2\nf(a)", "?"),
        ("a = 1\nif True:\n    a = 2\nf(a)", "2"),
        ("a = 1\nif unknown:\n    a = 2\n    f(a)", "2"),
        ("a = 1\ntry:\n    import b\n    a = 2\nexcept ImportError:\n    pass\nf(a)", "?"),
        ("for n in b:\n    f(a)\n    a = 2\na = 1", "?"),
        ("a = 1\nfor n in b:\n    f(a)\n    a = 2", "?"),
        ("a = 1\nfor n in b:\n    a = 2\nf(a)", "?"),
        ("a = 1\ndef g():\n    global a\n    a = 2\na = 3\ng()\nf(a)", "?"),
        ("try:\n    c = L(r=8)\nexcept ValueError:\n    c = L(r=8)\nf(c)", "L()"),
        ("try:\n    c = L(r=8)\nexcept ValueError:\n    c = L(r=9)\nf(c)", "?"),
        ("f('flash_attention_2' if unknown else 'sdpa')", "\"flash_attention_2\""),
        ("f('flash_attention_2' if unknown else 'eager')", "?"),
    ] {
        assert_eq!(
            plainly(text).lines().next().map(|line| line.trim_end_matches("  (perhaps)")),
            Some(seen),
            "{text}"
        );
    }
}

#[test]
fn a_function_of_the_program_gives_what_it_returns() {
    let env = "def env(name, default):\n    raw = os.environ.get(name, '')\n    if raw == '':\n        return default\n    return raw\n";
    let text = &format!("import os\n{env}f(env('A', 'a'), env('B', 2), env(default=1, name='C'), env(*x))\n");
    let given = Started {
        variables: [("A", Passed::Text("b".into())), ("C", Passed::Unknown)].into(),
        ..Started::default()
    };
    assert_eq!(seen(text, &given), "\"b\", 2, env(), env()\n");
    for (text, seen) in [
        ("def g(a): return g(a)\nf(g(1))", "g()"),
        ("def g(a):\n    if unknown: return 1\n    return 2\nf(g(1))", "g()"),
        ("A = ('q', 'v')\nf(list(A))", "[\"q\",\"v\"]"),
    ] {
        assert_eq!(plainly(text).lines().next(), Some(seen), "{text}");
    }
}

#[test]
fn a_branch_counts_if_its_condition_is_known() {
    let text = "
USE = True
if USE:
    f(1)
else:
    f(2)
if unknown:
    a = 1
    f(3)
elif USE:
    a = 2
else:
    f(4)
f(a)
def used():
    f(5)
def unused():
    f(6)
if __name__ == '__main__':
    used()
";
    insta::assert_snapshot!(plainly(text), @"
    1
    2  (not run)
    3  (perhaps)
    4  (not run)
    ?
    5
    6  (not run)
    ");
}

#[test]
fn options_come_from_the_command_line_or_their_defaults() {
    let text = "
parser = argparse.ArgumentParser()
parser.add_argument('--model-name', '-m', default='gpt2')
parser.add_argument('--batch', type=int, default=4)
parser.add_argument('--fp16', action='store_true')
parser.add_argument('--rank', type=int)
args = parser.parse_args()
f(args.model_name, args.batch, args.fp16, args.rank, args.other)
def train(opt):
    f(opt.batch)
train(args)
args.batch = 9
";
    let text = &text.replace("args.batch = 9", "");
    insta::assert_snapshot!(plainly(text), @r#"
    "gpt2", 4, false, ?, ?
    4
    "#);
    let given = Started {
        options: [("batch", Passed::Text("8".into())), ("fp16", Passed::Switch), ("m", Passed::Unknown)]
            .into(),
        ..Started::default()
    };
    insta::assert_snapshot!(seen(text, &given), @r#"
    ?, "8", true, ?, ?
    "8"
    "#);
    insta::assert_snapshot!(plainly(&format!("{text}\nargs.batch = 9")), @r#"
    "gpt2", ?, false, ?, ?
    ?
    "#);
}

#[test]
fn parameters_have_the_values_of_a_dictionary_that_is_spread() {
    let train = "def train(model='none', batch=4):\n    f(model, batch)\n";
    let call = |call: &str| plainly(&format!("{train}settings = {{'model': 'llama', 'rank': 8}}\n{call}"));
    for (text, seen) in [
        ("train(**settings)", "\"llama\", 4"),
        ("train(batch=2, **{'model': 'llama'})", "\"llama\", 2"),
        ("train(**load())", "?, ?"),
        ("train(model='gpt2', **load())", "\"gpt2\", ?"),
        ("train(**settings)\ntrain(batch=1)", "?, ?"),
    ] {
        assert_eq!(call(text).lines().next(), Some(seen), "{text}");
    }
}

#[test]
fn a_trainer_of_ray_gives_its_function_a_dictionary() {
    let train = "def train(config):\n    f(config['model'], config['batch'])\n";
    for call in [
        "TorchTrainer(train, train_loop_config={'model': 'llama', 'batch': 2})",
        "TorchTrainer(train_loop_per_worker=train, train_loop_config={'model': 'llama', 'batch': 2})",
    ] {
        assert_eq!(plainly(&format!("{train}{call}")).lines().next(), Some("\"llama\", 2"), "{call}");
    }
    assert_eq!(plainly(&format!("{train}TorchTrainer(train)")).lines().next(), Some("?, ?"));
}

#[test]
fn a_text_for_a_truth_is_one_if_the_option_makes_it_so() {
    let text = "
parser = argparse.ArgumentParser()
parser.add_argument('--peft', type=lambda x: x == 'True', default=True)
parser.add_argument('--name', default='a')
args = parser.parse_args()
if args.peft:
    f('adapters')
f(args.peft, args.name)
";
    let given = Started {
        options: [("peft", Passed::Text("False".into())), ("name", Passed::Text("False".into()))].into(),
        ..Started::default()
    };
    insta::assert_snapshot!(seen(text, &given), @r#"
    "adapters"  (not run)
    false, "False"
    "#);
}

#[test]
fn fields_of_classes_and_parameters_are_known() {
    let text = "
@dataclass
class Arguments:
    model: str = field(default='llama', metadata={'help': ''})
    length: int = 512
class Config:
    RANK = 8
config = Config()
(arguments, training) = HfArgumentParser((Arguments, TrainingArguments)).parse_args_into_dataclasses()
f(arguments.model, arguments.length, Config.RANK, config.RANK, training.fp16)
mine = Arguments(length=9)
f(mine.length, mine.model)
def train(batch=4, rank=16):
    f(batch, rank)
train(batch=2)
";
    let given = Started { options: [("length", Passed::Text("1024".into()))].into(), ..Started::default() };
    insta::assert_snapshot!(seen(text, &given), @r#"
    "llama", "1024", 8, 8, ?
    9, "llama"
    2, 16
    "#);
    let fired = "def train(batch=4):\n    f(batch)\nfire.Fire(train)\n";
    let given = Started { options: [("batch", Passed::Text("1".into()))].into(), ..Started::default() };
    assert_eq!(seen(fired, &given), "\"1\"\n");
    assert_eq!(plainly(fired), "4\n");
}

#[test]
fn variables_of_the_environment_beat_their_defaults() {
    let text = "import os\nf(os.environ['A'], os.getenv('B', 'b'), os.environ.get('C', 'c'), os.environ.get('D') or 'd')\n";
    let given = Started {
        variables: [("A", Passed::Text("a".into())), ("C", Passed::Unknown)].into(),
        ..Started::default()
    };
    assert_eq!(seen(text, &given), "\"a\", \"b\", ?, \"d\"\n");
}

#[test]
fn what_is_no_python_or_too_much_of_it_is_not_read() {
    let started = Started::default();
    assert_eq!(read("def f(:\n", &started, &mut 40_000), None);
    assert_eq!(read(&"x = 1\n".repeat(MOST_BYTES), &started, &mut 40_000), None);
    assert_eq!(read(&format!("x = {}1", "(".repeat(50_000)), &started, &mut 40_000), None);
}

#[test]
fn the_work_on_a_program_that_doubles_its_values_is_bounded() {
    let mut text = "a0 = 'xxxxxxxxxxxxxxxx'\nb0 = (1, 2)\n".to_owned();
    for n in 1..60 {
        let _ = writeln!(text, "a{n} = a{m} + a{m}\nb{n} = [b{m}, b{m}, *b{m}]\nf(a{n}, b{n})", m = n - 1);
    }
    let _ = writeln!(text, "f({})", "a5, ".repeat(20_000));
    let program = read(&text, &Started::default(), &mut 40_000).unwrap();
    let size = |value: &Value| if let Value::Plain(value) = value { value.to_string().len() } else { 1 };
    let kept: usize = program.calls.iter().flat_map(|call| &call.positional).map(size).sum();
    assert!(kept < 600_000, "{kept}");
}

/// Pieces of programs. Hostile programs are made of them.
const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\n",
    "\n    ",
    "\n  ",
    "=",
    "==",
    ".",
    "a",
    "b",
    "f",
    "f(a)",
    "1",
    "'x'",
    "f'{",
    "}'",
    "\"\"\"",
    "f\"\"\"",
    "#",
    "\\\n",
    "lambda ",
    "if ",
    "else ",
    "elif ",
    "for ",
    " in ",
    "not ",
    "-",
    "+",
    "**",
    "*",
    "@",
    "def ",
    "class ",
    "return ",
    "yield ",
    "await ",
    "async ",
    "global a",
    "import a",
    "from a import b",
    "try:",
    "except:",
    "with a as b:",
    "while ",
    "match a:",
    "case ",
    "del a",
    "a: int = ",
    "args",
    "parse_args()",
    "add_argument('--a', default=a)",
    "self.a",
    "\t",
    "é",
    "\u{0}",
    "0x",
    "1e999",
    ";",
    "...",
    "|",
    ":=",
    "->",
    "type a = ",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn reading_any_text_ends(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..120), times in 1usize..40) {
        let once = pieces.concat();
        let _ = read(&once, &Started::default(), &mut 40_000);
        let _ = read(&once.repeat(times), &Started::default(), &mut 40_000);
    }

    #[test]
    fn a_single_piece_repeated_ends(piece in prop::sample::select(PIECES), begin in prop::sample::select(PIECES)) {
        let _ = read(&format!("{begin}{}", piece.repeat(3_000)), &Started::default(), &mut 40_000);
        let _ = read(&format!("x = {begin}{}", piece.repeat(3_000)), &Started::default(), &mut 40_000);
    }
}
