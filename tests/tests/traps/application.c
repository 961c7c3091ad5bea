/* A PAM application with traps in its conversation. argv: service, user, secret, trap. Prints what pam_authenticate(3) returned. */
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pam_handle_t *pam;
static const char *secret, *trap;

static int is(const char *name) { return strcmp(trap, name) == 0; }

static int converse(int count, const struct pam_message **messages, struct pam_response **answers, void *closure)
{
    (void)closure;
    if (is("fails"))
        return PAM_CONV_ERR;
    if (is("no-answers")) {
        *answers = NULL;
        return PAM_SUCCESS;
    }
    struct pam_response *all = calloc((size_t)count, sizeof *all);
    for (int at = 0; at < count; at++) {
        int asked = messages[at]->msg_style == PAM_PROMPT_ECHO_OFF || messages[at]->msg_style == PAM_PROMPT_ECHO_ON;
        printf("%s%s\n", asked ? "asked: " : "told: ", messages[at]->msg);
        if (!asked)
            continue;
        if (is("user-changes"))
            pam_set_item(pam, PAM_USER, "bob");
        if (is("user-vanishes"))
            pam_set_item(pam, PAM_USER, NULL);
        if (is("empty-answer"))
            continue;
        if (is("long")) {
            all[at].resp = calloc(1, 100001);
            memset(all[at].resp, '1', 100000);
        } else {
            /* After the NUL stands what a module that went by anything but the NUL would read. */
            all[at].resp = calloc(1, 64);
            strcpy(all[at].resp, secret);
            if (is("nul"))
                strcpy(all[at].resp + strlen(secret) + 1, "271828");
        }
    }
    *answers = all;
    return PAM_SUCCESS;
}

int main(int argc, char **argv)
{
    struct pam_conv conversation = { converse, NULL };
    if (argc != 5)
        return 2;
    secret = argv[3];
    trap = argv[4];
    if (is("no-function"))
        conversation.conv = NULL;
    if (pam_start(argv[1], argv[2], &conversation, &pam) != PAM_SUCCESS)
        return 3;
    if (is("remote"))
        pam_set_item(pam, PAM_RHOST, "192.0.2.7");
    int code = pam_authenticate(pam, 0);
    const void *user = NULL;
    pam_get_item(pam, PAM_USER, &user);
    printf("returned %d, user %s\n", code, user ? (const char *)user : "-");
    return pam_end(pam, code) == PAM_SUCCESS ? 0 : 4;
}
