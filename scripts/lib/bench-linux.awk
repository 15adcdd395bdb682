# The table of `scripts/bench linux`, from its log: WHAT MODULE PROTO CIPHER STREAMS DIRECTION MTU Mbit/s ns rtt retransmits,
# WHAT being time or instructions. Writes the machine-readable form to the file `tsv`. Ends with 1 if a cell is missing.

{
    name = $3 "," $4 "," $5 "," $6 "," $7
    if ($1 == "time") {
        add("mbits", name, $2, $8)
        add("rtt", name, $2, $10)
        add("again", name, $2, $11)
    } else {
        add("cost", name, $2, $9)
    }
}

function add(what, cell, module, value) { values[what, cell, module, ++count[what, cell, module]] = value }

# The median, or "-" without a value, or with fewer than were wanted.
function median(what, cell, module, n, i, j, v, sorted) {
    n = count[what, cell, module]
    if (n < (what == "cost" ? 1 : rounds)) return "-"
    for (i = 1; i <= n; i++) {
        v = values[what, cell, module, i] + 0
        for (j = i - 1; j > 0 && sorted[j] > v; j--) sorted[j + 1] = sorted[j]
        sorted[j + 1] = v
    }
    return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

function ratio(a, b) { return a == "-" || b == "-" || b + 0 == 0 ? "-" : sprintf("%.2f", a / b) }

# One measure of a cell: a column a module, and ours over each other one's.
function columns(what, cell, format, i, line, value) {
    for (i = 1; i <= modules_count; i++) {
        value = median(what, cell, module[i])
        if (value == "-" || what != "again" && value + 0 == 0) missing[cell] = 1
        line = line sprintf(value == "-" ? " %8s" : " " format, value)
        if (i == 1) ours = value
        else if (what != "again") line = line sprintf(" %6s", ratio(ours, value))
        record = record "\t" value
    }
    return line " |"
}

function titles(i, line, ratios, what) {
    for (i = 1; i <= modules_count; i++) line = line sprintf(" %8s", module[i]) (i > 1 && ratios ? "  ratio" : "")
    return line " |"
}

function heading(text, width) { return sprintf(" %-" width "s |", text) }

END {
    cells = split(specs, cell, " ")
    modules_count = split(modules, module, " ")
    wide = 16 * modules_count - 8
    head = sprintf("%-34s |", ""); names = sprintf("%-4s %-17s %4s %-4s %4s |", "over", "cipher", "mtu", "way", "strm"); fields = "proto\tcipher\tstreams\tdirection\tmtu"
    if (normal) {
        head = head heading("Mbit/s", wide) heading("rtt, us", wide) heading("retransmits", 9 * modules_count - 1)
        names = names titles(0, "", 1) titles(0, "", 1) titles(0, "", 0)
    }
    if (icount) {
        head = head heading("instructions", wide)
        names = names titles(0, "", 1)
    }
    split((normal ? "mbits rtt again " : "") (icount ? "cost" : ""), measures, " ")
    for (m = 1; m in measures; m++) for (i = 1; i <= modules_count; i++) fields = fields "\t" measures[m] "_" module[i]
    print ""
    print head
    print names
    print fields >tsv
    for (c = 1; c <= cells; c++) {
        split(cell[c], part, ",")
        record = part[1] "\t" part[2] "\t" part[3] "\t" part[4] "\t" part[5]
        line = sprintf("%-4s %-17s %4s %-4s %4s |", part[1], part[2], part[5], part[4], part[3])
        for (m = 1; m in measures; m++) line = line columns(measures[m], cell[c], measures[m] == "mbits" ? "%8.1f" : "%8d")
        print line
        print record >tsv
    }
    print ""
    for (c = 1; c <= cells; c++) {
        split(cell[c], part, ",")
        if (cell[c] in missing) lost = lost " " cell[c]
        what = normal ? "mbits" : "cost"
        r = ratio(median(what, cell[c], "ours"), median(what, cell[c], "c"))
        if (r != "-" && (normal ? r < 1 : r > 1)) below = below " " cell[c] " (" r ")"
        if (part[1] !~ /^tcp/ || !normal) continue
        twin = cell[c]
        sub(/^tcp/, "udp", twin)
        r = ratio(median("mbits", cell[c], "ours"), median("mbits", twin, "ours"))
        if (r == "-") continue
        pairs++
        if (r < 0.8) slow = slow " " cell[c] " (" r ")"
    }
    print (normal ? "below 1.00 of the C module's throughput:" : "more instructions than the C module:") (below ? below : " none")
    if (pairs) print "our TCP below 80 % of our UDP:" (slow ? slow : " none of " pairs)
    if (lost) print "could not be measured:" lost
    exit lost || failed ? 1 : 0
}
