# Makes the journal's message catalogue out of the tables of docs/events.md: systemd's catalog file format.
# What `journalctl -x` explains is thus what the page says.
#
# With -v po=FILE it does so in the language of that file of texts. A text that is not there stays English.

BEGIN {
    FS = " *[|] *"
    if (po != "") {
        # Each text on one line, and none that is guessed.
        texts = "msgattrib --translated --no-fuzzy --no-obsolete --no-wrap " po
        while ((texts | getline line) > 0) {
            if (line ~ /^msgid "/) text = unquoted(line)
            if (line ~ /^msgstr "/) translation[text] = unquoted(line)
        }
        if (close(texts) != 0) exit 1
    }
}

# The prefix stands once in the page, in the row of MESSAGE_ID.
/MESSAGE_ID.*followed by the id/ { match($0, /[0-9a-f]+` followed/); prefix = substr($0, RSTART, RLENGTH - 10) }

# What is only shown is in no journal.
$2 ~ /^[0-9][0-9][0-9][0-9]( ◦)?$/ && $3 != "shown" {
    gsub(/`/, "")
    id = substr($2, 1, 4)
    printf "%s-- %s%s\n", (count++ ? "\n" : ""), prefix, id
    printf "Subject: Hello for Linux: %s\n", tr($4)
    printf "Defined-By: hellod\nSupport: man:hellod(8)\nDocumentation: man:hellod(8)\n\n"
    print filled(filled(tr("About {user}, in {service}."), "{user}", "@HELLO_USER@"), "{service}", "@HELLO_SERVICE@")
    printf "\n%s\n\n%s\n", filled(tr("When: {0}."), "{0}", tr($5)), filled(tr("What to do: {0}."), "{0}", tr($6))
}

END { if (length(prefix) != 28 || count == 0) exit 1 }

function tr(text) { return translation[text] == "" ? text : translation[text] }

# Not by sub(): it reads the & of a sentence.
function filled(text, place, words,    at) {
    at = index(text, place)
    if (!at) exit 1
    return substr(text, 1, at - 1) words substr(text, at + length(place))
}

# The string of a line of a .po file.
function unquoted(line) {
    sub(/^[a-z]+ "/, "", line)
    sub(/"$/, "", line)
    gsub(/\\"/, "\"", line)
    gsub(/\\\\/, "\\", line)
    return line
}
