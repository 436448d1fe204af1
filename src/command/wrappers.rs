//! Programs that only run another one, each with its options. Reading goes on with the program that they run.

use crate::command::options::Options;
use crate::command::{Word, basename};

/// A program that runs another one.
struct Wrapper {
    /// The words that start it.
    head: &'static [&'static str],
    /// Its options.
    options: Options,
    /// How many words stand between its options and the program that it runs.
    operands: usize,
}

const fn wrapper(head: &'static [&'static str], options: &'static str) -> Wrapper {
    Wrapper { head, options: Options::these(options), operands: 0 }
}

const fn with_operand(head: &'static [&'static str], options: &'static str) -> Wrapper {
    Wrapper { head, options: Options::these(options), operands: 1 }
}

const NSYS: &str = "a accelerator-trace b backtrace c capture-range capture-range-end cpuctxsw cuda-graph-trace \
    cuda-memory-usage cuda-flush-interval cudabacktrace d duration delay y e env-var export f \
    force-overwrite gpu-metrics-device gpu-metrics-devices gpu-metrics-frequency gpu-metrics-set \
    gpuctxsw kill nvtx-capture nvtx-domain-include nvtx-domain-exclude o output p \
    python-backtrace python-functions-trace python-nvtx-annotations python-sampling \
    python-sampling-frequency pytorch samples-per-backtrace s sample sampling-frequency session \
    session-new x stop-on-exit t trace trace-fork-before-exec run-as w show-output wait stats \
    nic-metrics ib-net-info-devices storage-metrics resolve-symbols";
const UV: &str = "with with-editable with-requirements p python extra group no-group only-group env-file \
    directory project index default-index index-url extra-index-url i f find-links package \
    config-file cache-dir link-mode resolution prerelease index-strategy color";

const DOCKER_EXEC: &str = "detach-keys e env env-file u user w workdir";
const DOCKER_RUN: &str = "a attach add-host annotation blkio-weight blkio-weight-device c cpu-shares cap-add cap-drop \
    cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpus cpuset-cpus \
    cpuset-mems detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops dns \
    dns-option dns-search domainname e env entrypoint env-file expose gpus group-add h hostname health-cmd health-interval \
    health-retries health-start-period health-timeout ip ip6 ipc isolation kernel-memory l label label-file link link-local-ip \
    log-driver log-opt m memory mac-address memory-reservation memory-swap memory-swappiness mount name net net-alias network \
    network-alias oom-score-adj p publish pid pids-limit platform pull restart runtime security-opt shm-size stop-signal \
    stop-timeout storage-opt sysctl tmpfs u user ulimit userns uts v volume volume-driver volumes-from w workdir";
const APPTAINER: &str = "add-caps app apply-cgroups B bind blkio-weight cpu-shares cpus cpuset-cpus cpuset-mems dns drop-caps env \
    env-file fakeroot-path fusemount H home hostname memory memory-reservation memory-swap mount network network-args o overlay \
    pid-file pids-limit pwd cwd S scratch security W workdir";

/// All wrappers. Sources: their manual pages.
static WRAPPERS: &[Wrapper] = &[
    wrapper(&["exec"], "a"),
    wrapper(&["command"], ""),
    wrapper(&["builtin"], ""),
    wrapper(&["time"], "o output f format"),
    wrapper(&["nohup"], ""),
    wrapper(&["setsid"], ""),
    wrapper(&["unbuffer"], ""),
    wrapper(&["env"], "u unset c chdir s split-string"),
    wrapper(&["sudo"], "u user g group h host p prompt c d t r"),
    wrapper(&["nice"], "n adjustment"),
    wrapper(&["ionice"], "c class n classdata"),
    wrapper(&["stdbuf"], "i input o output e error"),
    with_operand(&["timeout"], "k kill-after s signal"),
    with_operand(&["taskset"], ""),
    with_operand(&["chrt"], ""),
    with_operand(&["gosu"], ""),
    with_operand(&["su-exec"], ""),
    with_operand(&["flock"], "w timeout e conflict-exit-code"),
    wrapper(
        &["numactl"],
        "i interleave m membind n cpunodebind c physcpubind p preferred cpubind weighted-interleave w \
    preferred-many",
    ),
    wrapper(&["nsys", "profile"], NSYS),
    wrapper(&["nsys", "launch"], NSYS),
    wrapper(
        &["ncu"],
        "o export k kernel-name c launch-count s launch-skip set section metrics target-processes \
    nvtx-include nvtx-exclude replay-mode profile-from-start clock-control cache-control \
    config-file launch-skip-before-match graph-profiling",
    ),
    wrapper(&["rocprof"], "i o d t"),
    wrapper(&["rocprofv3"], "o d i output-format f output-file output-directory input"),
    wrapper(&["py-spy", "record"], "o output d duration r rate f format"),
    wrapper(&["memray", "run"], "o output live-port"),
    wrapper(&["strace"], "e o p s u x"),
    wrapper(&["gdb"], "ex x"),
    wrapper(&["tini"], "p e"),
    wrapper(&["dumb-init"], "r rewrite"),
    wrapper(&["catatonit"], ""),
    wrapper(&["xvfb-run"], "n s e f"),
    wrapper(&["opentelemetry-instrument"], "service-name traces-exporter metrics-exporter"),
    wrapper(&["neuron_parallel_compile"], "command num-parallel"),
    wrapper(&["uid_entrypoint.sh"], ""),
    wrapper(&["nvidia_entrypoint.sh"], ""),
    wrapper(&["docker-entrypoint.sh"], ""),
    wrapper(&["entrypoint.sh"], ""),
    wrapper(&["uv", "run"], UV),
    wrapper(&["poetry", "run"], ""),
    wrapper(&["pipenv", "run"], ""),
    wrapper(&["pdm", "run"], "p project"),
    wrapper(&["hatch", "run"], ""),
    wrapper(&["pixi", "run"], "e environment manifest-path"),
    wrapper(&["conda", "run"], "n name p prefix cwd"),
    wrapper(&["mamba", "run"], "n name p prefix cwd"),
    wrapper(&["micromamba", "run"], "n name p prefix cwd r root-prefix"),
    wrapper(&["doppler", "run"], "p project c config t token"),
    wrapper(&["infisical", "run"], "env path token"),
    wrapper(&["oumi", "distributed"], ""),
    with_operand(&["docker", "exec"], DOCKER_EXEC),
    with_operand(&["docker", "container", "exec"], DOCKER_EXEC),
    with_operand(&["docker", "run"], DOCKER_RUN),
    with_operand(&["podman", "exec"], DOCKER_EXEC),
    with_operand(&["podman", "run"], DOCKER_RUN),
    with_operand(&["nerdctl", "run"], DOCKER_RUN),
    with_operand(&["apptainer", "exec"], APPTAINER),
    with_operand(&["singularity", "exec"], APPTAINER),
];

/// The command that a wrapper runs.
pub(crate) struct Wrapped<'w> {
    /// The variables that the wrapper sets first.
    pub(crate) variables: Vec<(String, Word)>,
    /// Whether it may set other variables.
    pub(crate) may_set_more: bool,
    /// Whether the first word of the command is a Python module: `uv run -m train`.
    pub(crate) is_module: bool,
    /// The command.
    pub(crate) words: &'w [Word],
}

/// Wrappers that set variables which the object does not show: an image's own script, a store of secrets, another container.
const SET_MORE: &[&str] = &[
    "entrypoint.sh",
    "docker-entrypoint.sh",
    "uid_entrypoint.sh",
    "doppler",
    "infisical",
    "docker",
    "podman",
    "nerdctl",
];

/// The command that a wrapper runs. None if the command starts with no wrapper.
pub(crate) fn unwrap(words: &[Word]) -> Option<Wrapped<'_>> {
    let wrapper = WRAPPERS.iter().find(|wrapper| starts_with(words, wrapper.head.iter().copied()))?;
    let behind = words.get(wrapper.head.len()..)?;
    let mut rest = behind.get(wrapper.options.operand(behind)..)?;
    let mut variables = Vec::new();
    while let Some((first, others)) = rest.split_first() {
        let Some((name, value)) = assignment(&first.text) else { break };
        variables.push((name.to_owned(), Word { text: value.to_owned(), known: first.known }));
        rest = others;
    }
    // `taskset -c 0-7 program`: the list of cores is the operand, as a mask or after the switch.
    let rest = rest.get(wrapper.operands..)?;
    let rest = if rest.first().is_some_and(|word| word.text == "--") { rest.get(1..)? } else { rest };
    let head = wrapper.head.first().copied().unwrap_or_default();
    // `env $(cat file) program`: it sets unknown variables.
    let before = behind.get(..behind.len() - rest.len()).unwrap_or_default();
    let mut unknown = before.iter().filter(|word| !word.known && assignment(&word.text).is_none());
    let may_set_more = SET_MORE.contains(&head) || (head == "env" && unknown.next().is_some());
    let is_module = head == "uv" && before.iter().any(|word| matches!(word.text.as_str(), "-m" | "--module"));
    Some(Wrapped { variables, may_set_more, is_module, words: rest })
}

/// Whether a program of this name may only run another one.
pub(crate) fn is_wrapper(name: &str) -> bool {
    WRAPPERS.iter().any(|wrapper| wrapper.head.first() == Some(&basename(name)))
}

/// Whether a command begins with these words. The path of its first word is ignored.
pub(crate) fn starts_with<'h>(words: &[Word], head: impl IntoIterator<Item = &'h str>) -> bool {
    head.into_iter().enumerate().all(|(at, wanted)| {
        let word = words.get(at).filter(|word| word.known).map(|word| word.text.as_str());
        word.is_some_and(|word| (if at == 0 { basename(word) } else { word }) == wanted)
    })
}

/// The name and value of `NAME=value`.
pub(crate) fn assignment(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(name, _)| is_name(name))
}

/// Whether this can be the name of a variable.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(words: &str) -> String {
        let words: Vec<Word> = words.split(' ').map(Word::known).collect();
        let mut words = words.as_slice();
        let mut shown = String::new();
        while let Some(wrapped) = unwrap(words) {
            shown.extend(wrapped.variables.iter().map(|(name, value)| format!("{name}={} ", value.text)));
            words = wrapped.words;
        }
        shown + &words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_command_is_found_behind_every_wrapper() {
        for (command, expected) in [
            ("exec torchrun a.py", "torchrun a.py"),
            ("/usr/bin/env -u X A=1 B=2 python a.py", "A=1 B=2 python a.py"),
            ("nsys profile -o x --trace=cuda,nvtx -w true torchrun a.py", "torchrun a.py"),
            ("numactl --cpunodebind=0 --membind 0 nice -n 5 python a.py", "python a.py"),
            ("timeout -k 5 12h taskset -c 0-7 python a.py", "python a.py"),
            ("sudo -E -u trainer X=1 stdbuf -oL time -p nohup a", "X=1 a"),
            ("uv run --with torch -- accelerate launch a.py", "accelerate launch a.py"),
            ("conda run -n env --no-capture-output deepspeed a.py", "deepspeed a.py"),
            ("tini -- dumb-init -- python a.py", "python a.py"),
            ("nsys stats x", "nsys stats x"),
            ("docker exec -e A=1 -w /a trainer bash -lc x", "bash -lc x"),
            ("docker run --rm --gpus all --ipc=host -v /a:/b image:1 torchrun a.py", "torchrun a.py"),
            ("singularity exec --nv -B /a:/b image.sif python a.py", "python a.py"),
            ("docker ps -a", "docker ps -a"),
        ] {
            assert_eq!(unwrapped(command), expected, "{command}");
        }
    }
}
