# Sets what divan prints for `judged` over what it prints for `deserialized`: the medians, a line a document.

BEGIN { microseconds["ns"] = 1e-3; microseconds["µs"] = 1; microseconds["ms"] = 1e3; microseconds["s"] = 1e6 }

{ gsub(/│|├|╰|─/, " ") }

NF == 1 { group = $1 }

# name, fastest, slowest, median and mean with their units, samples, iterations
NF == 11 {
    median[group, $1] = $6 * microseconds[$7]
    if (group == "judged") documents[++count] = $1
}

END {
    if (!count) { print "divan printed no table that can be read" > "/dev/stderr"; exit 1 }
    printf "%-20s %16s %12s %8s\n", "DOCUMENT", "DESERIALIZED", "JUDGED", "RATIO"
    for (i = 1; i <= count; i++) {
        document = documents[i]
        floor = median["deserialized", document]; judged = median["judged", document]
        printf "%-20s %13.1f µs %9.1f µs %8.1f\n", document, floor, judged, judged / floor
    }
}
