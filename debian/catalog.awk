# Makes the journal's message catalogue out of the tables of docs/events.md: systemd's catalog file format.
# What `journalctl -x` explains is thus what the page says.

BEGIN { FS = " *[|] *" }

# The prefix stands once in the page, in the row of MESSAGE_ID.
/MESSAGE_ID.*followed by the id/ { match($0, /[0-9a-f]+` followed/); prefix = substr($0, RSTART, RLENGTH - 10) }

# What is only shown is in no journal.
$2 ~ /^[0-9][0-9][0-9][0-9]( ◦)?$/ && $3 != "shown" {
    gsub(/`/, "")
    id = substr($2, 1, 4)
    printf "%s-- %s%s\n", (count++ ? "\n" : ""), prefix, id
    printf "Subject: Hello for Linux: %s\n", $4
    printf "Defined-By: hellod\nSupport: man:hellod(8)\nDocumentation: man:hellod(8)\n\n"
    printf "About @HELLO_USER@, in @HELLO_SERVICE@.\n\nWhen: %s.\n\nWhat to do: %s.\n", $5, $6
}

END { if (length(prefix) != 28 || count == 0) exit 1 }
