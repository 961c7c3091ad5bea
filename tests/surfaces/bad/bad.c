/* A PAM module for the suite to be tried with. Without an argument it is a good one: it asks once, and lets in whoever types
 * "right-secret". Its argument names the one thing that it does wrong. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <security/pam_modules.h>
#include <security/pam_ext.h>

#define EXPORTED __attribute__((visibility("default")))

static int is(int argc, const char **argv, const char *fault) { return argc > 0 && strcmp(argv[0], fault) == 0; }

static void *sleeper(void *nothing)
{
    pause();
    return nothing;
}

/* What it leaves behind, and what it says, before it asks. */
static void misbehave(pam_handle_t *pam, int argc, const char **argv)
{
    pthread_t thread;
    if (is(argc, argv, "thread"))
        pthread_create(&thread, NULL, sleeper, NULL);
    if (is(argc, argv, "descriptor") && open("/dev/null", O_RDONLY) < 0)
        return;
    if (is(argc, argv, "child") && fork() == 0) {
        /* It holds no stream of the program, which would wait for it. */
        for (int stream = 0; stream < 3; stream++)
            close(stream);
        sleep(5);
        _exit(0);
    }
    if (is(argc, argv, "signal"))
        signal(SIGPIPE, SIG_DFL);
    if (is(argc, argv, "exit"))
        _exit(0);
    if (is(argc, argv, "crash"))
        abort();
    if (is(argc, argv, "loud")) {
        printf("Look into the camera.\n");
        fflush(stdout);
    }
    if (is(argc, argv, "chatty"))
        pam_info(pam, "%s", "Have a nice day.");
    if (is(argc, argv, "colour"))
        pam_info(pam, "%s", "\033[1mPIN\033[0m");
    if (is(argc, argv, "somebody-else"))
        pam_set_item(pam, PAM_USER, "root");
    if (is(argc, argv, "slow"))
        pam_fail_delay(pam, 20000000);
    if (is(argc, argv, "slower"))
        pam_fail_delay(pam, 120000000);
}

static int ask(pam_handle_t *pam, int style, const char *text)
{
    char *answer = NULL;
    if (pam_prompt(pam, style, &answer, "%s", text) != PAM_SUCCESS || answer == NULL)
        return PAM_CONV_ERR;
    return strcmp(answer, "right-secret") == 0 ? PAM_SUCCESS : PAM_AUTH_ERR;
}

EXPORTED int pam_sm_authenticate(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    int code;
    const char *user;
    (void)flags;
    if (pam_get_user(pam, &user, NULL) != PAM_SUCCESS)
        return PAM_USER_UNKNOWN;
    misbehave(pam, argc, argv);
    if (is(argc, argv, "quick"))
        return PAM_SUCCESS;
    if (is(argc, argv, "unavailable"))
        return PAM_AUTHINFO_UNAVAIL;
    if (is(argc, argv, "deaf")) {
        ask(pam, PAM_PROMPT_ECHO_OFF, "Secret: ");
        return PAM_AUTH_ERR;
    }
    code = ask(pam, is(argc, argv, "shown") ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF, "Secret: ");
    if (is(argc, argv, "twice") && code == PAM_SUCCESS)
        code = ask(pam, PAM_PROMPT_ECHO_OFF, "Secret: ");
    if (is(argc, argv, "insistent"))
        for (int at = 0; at < 5 && code == PAM_CONV_ERR; at++)
            code = ask(pam, PAM_PROMPT_ECHO_OFF, "Secret: ");
    if (is(argc, argv, "fatal") && code != PAM_SUCCESS)
        return PAM_SYSTEM_ERR;
    if (is(argc, argv, "lax"))
        return PAM_SUCCESS;
    /* pam_unix asks for as much. */
    if (code != PAM_SUCCESS && !is(argc, argv, "hasty"))
        pam_fail_delay(pam, 4000000);
    return code;
}

EXPORTED int pam_sm_setcred(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    (void)pam;
    return is(argc, argv, "setcred") && (flags & (PAM_REFRESH_CRED | PAM_REINITIALIZE_CRED)) ? PAM_CRED_ERR : PAM_SUCCESS;
}

EXPORTED int pam_sm_acct_mgmt(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    (void)pam;
    (void)flags;
    return is(argc, argv, "expired") || is(argc, argv, "expired-for-ever") ? PAM_NEW_AUTHTOK_REQD : PAM_SUCCESS;
}

EXPORTED int pam_sm_chauthtok(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    (void)pam;
    (void)flags;
    return is(argc, argv, "expired-for-ever") ? PAM_AUTHTOK_ERR : PAM_SUCCESS;
}

EXPORTED int pam_sm_open_session(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    (void)pam;
    (void)flags;
    (void)argc;
    (void)argv;
    return PAM_SUCCESS;
}

EXPORTED int pam_sm_close_session(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    return pam_sm_open_session(pam, flags, argc, argv);
}
