// SPDX-License-Identifier: Apache-2.0
#include "agent/ipc.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* One daemon that gives one answer. */
struct peer {
	char base[64];
	struct paths paths;
	pid_t pid;
};

static int make_paths(struct peer *peer, const char *below, struct error *err)
{
	strcpy(peer->base, "/tmp/slipway-test.XXXXXX");
	assert_non_null(mkdtemp(peer->base));
	auto_free char *root = fs_join(peer->base, below);
	int r = paths_init(&peer->paths, root, err);
	return r < 0 ? r : fs_mkdirs_path(peer->paths.agent_run, 0700, err);
}

static void peer_start(struct peer *peer, const char *below, const char *answer)
{
	struct error err = {0};
	assert_int_equal(make_paths(peer, below, &err), 0);
	struct sockaddr_un address;
	auto_close int dirfd = -1;
	int len = ipc_address(peer->paths.agent_run, IPC_SOCKET_NAME, &address, &dirfd, &err);
	assert_true(len > 0);
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, (socklen_t)len), 0);
	assert_int_equal(listen(fd, 1), 0);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (peer->pid > 0)
		return;
	alarm(20);
	char packet[256];
	int conn = accept(fd, NULL, NULL);
	if (conn >= 0 && recv(conn, packet, sizeof(packet), 0) > 0 && answer && *answer)
		send(conn, answer, strlen(answer), 0);
	/* "silence": until the caller is gone */
	if (answer && !*answer)
		recv(conn, packet, sizeof(packet), 0);
	_exit(0);
}

static void peer_end(struct peer *peer)
{
	if (peer->pid > 0)
		assert_int_equal(waitpid(peer->pid, NULL, 0), peer->pid);
	auto_close int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(tmp, peer->base + strlen("/tmp/"), NULL), 0);
	paths_clear(&peer->paths);
}

static int ask(const struct peer *peer, json_t **ret, struct error *err)
{
	auto_json json_t *request = json_pack("{s:s}", "request", "status");
	return ipc_call(&peer->paths, request, 500, ret, err);
}

static void an_answer_comes_back(void **state)
{
	struct peer peer = {0};
	peer_start(&peer, "r", "{\"version\":\"1\"}");
	auto_json json_t *answer = NULL;
	struct error err = {0};
	assert_int_equal(ask(&peer, &answer, &err), 0);
	assert_string_equal(json_string_value(json_object_get(answer, "version")), "1");
	peer_end(&peer);
}

static void a_root_of_any_length_works(void **state)
{
	struct peer peer = {0};
	char below[400] = "r";
	for (int i = 0; i < 20; i++)
		strcat(below, "/a-long-folder");
	peer_start(&peer, below, "{\"ok\":true}");
	assert_true(strlen(peer.paths.agent_run) > sizeof(((struct sockaddr_un *)0)->sun_path));
	auto_json json_t *answer = NULL;
	struct error err = {0};
	assert_int_equal(ask(&peer, &answer, &err), 0);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	peer_end(&peer);
}

static void an_error_of_the_daemon_is_ours(void **state)
{
	struct peer peer = {0};
	peer_start(&peer, "r", "{\"error\":{\"code\":\"access_denied\",\"text\":\"not you\"}}");
	auto_json json_t *answer = NULL;
	struct error err = {0};
	assert_int_equal(ask(&peer, &answer, &err), ERR_DENIED);
	assert_string_equal(err.text, "not you");
	peer_end(&peer);
}

static void nonsense_and_silence_are_errors(void **state)
{
	static const struct {
		const char *answer;
		int code;
	} cases[] = {{"{\"error\":7}", ERR_FORMAT},
		     {"{", ERR_FORMAT},
		     {NULL, -ECONNRESET},
		     {"", -ETIMEDOUT}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct peer peer = {0};
		peer_start(&peer, "r", cases[i].answer);
		auto_json json_t *answer = NULL;
		struct error err = {0};
		assert_int_equal(ask(&peer, &answer, &err), cases[i].code);
		assert_null(answer);
		peer_end(&peer);
	}
}

static void nobody_there_is_said_in_plain_words(void **state)
{
	struct peer peer = {0};
	struct error err = {0};
	assert_int_equal(make_paths(&peer, "r", &err), 0);
	auto_json json_t *answer = NULL;
	assert_int_equal(ask(&peer, &answer, &err), -ENOENT);
	assert_string_equal(err.text, "slipwayd is not running");
	peer_end(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_comes_back),
		cmocka_unit_test(a_root_of_any_length_works),
		cmocka_unit_test(an_error_of_the_daemon_is_ours),
		cmocka_unit_test(nonsense_and_silence_are_errors),
		cmocka_unit_test(nobody_there_is_said_in_plain_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
