// SPDX-License-Identifier: Apache-2.0
/* What 'slipway doctor' reads of this host's own files: configuration, identity, trust, disk. */
#include "agent/cli/doctor.h"

#include "agent/proxies.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pki.h"
#include "common/str.h"
#include "common/tls-inspect.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PEM_MAX ((size_t)256 * 1024)
#define LOW_BYTES ((uint64_t)16 * 1024 * 1024) /* below this nothing can be deployed */
#define SCARCE_BYTES ((uint64_t)512 * 1024 * 1024)
#define SCARCE_PERCENT 5
#define LOW_INODES 100

/* Files that hold a secret, or decide what root does: wide are the bits that are too many. */
static void check_mode(struct doctor *doctor, const char *path, const char *holds, mode_t wide,
		       mode_t to)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return;
	mode_t mode = st.st_mode & 07777;
	if (!(mode & wide)) {
		doctor_detail(doctor, "%s: %s, mode %04o", path, holds, mode);
		return;
	}
	auto_free char *next = xasprintf("chmod %04o %s", to, path);
	doctor_say(doctor, DOCTOR_WARNING, next, "%s: %s, and mode %04o lets others %s it", path,
		   holds, mode, mode & wide & 0044 ? "read" : "change");
}

static void check_path(struct doctor *doctor, const char *key, const char *path)
{
	struct stat st;
	if (!path)
		return;
	if (stat(path, &st) == 0) {
		doctor_detail(doctor, "%s: '%s' is there", key, path);
		return;
	}
	bool denied = errno == EACCES || errno == EPERM;
	doctor_say(doctor, denied ? DOCTOR_SKIPPED : DOCTOR_FAILED,
		   denied ? "run it as root" : "make it, or take the key out of agent.yml",
		   "%s: '%s': %s", key, path, strerror(errno));
}

/* What path will be made in, where it is not there yet. */
static char *existing(const char *path)
{
	char *dir = xstrdup(path);
	struct stat st;
	while (stat(dir, &st) < 0 && errno == ENOENT) {
		char *slash = strrchr(dir, '/');
		if (!slash || slash == dir) {
			snprintf(dir, strlen(dir) + 1, "/");
			break;
		}
		*slash = '\0';
	}
	return dir;
}

/* The worker makes it when it needs it. */
static void check_place(struct doctor *doctor, const char *key, const char *path)
{
	auto_free char *dir = path ? existing(path) : NULL;
	if (!dir || str_eq(dir, path))
		check_path(doctor, key, path);
	else
		doctor_detail(doctor, "%s: '%s' is not there yet, and will be made in '%s'", key,
			      path, dir);
}

static int load_settings(struct doctor *doctor, struct error *err)
{
	int level = log_get_level();
	log_set_level(LOG_ERR); /* keys without effect are the daemon's to complain about */
	int r = settings_load(&doctor->settings, &doctor->cli->paths, err);
	log_set_level(level);
	return r;
}

void doctor_configuration(struct doctor *doctor)
{
	const char *file = doctor->cli->paths.agent_yml;
	struct error err = {0};
	int r = load_settings(doctor, &err);
	if (r == -EACCES || r == -EPERM) {
		doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
			   "%s: only root and the agent may read it", file);
		return;
	}
	if (r < 0) {
		doctor_say(doctor, DOCTOR_FAILED,
			   "put that line right; 'slipwayd --help-config' and "
			   "slipway-agent.yml(5) explain each key",
			   "%s", err.text);
		return;
	}
	doctor->has_settings = true;
	if (access(file, F_OK) == 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "%s is read without errors", file);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "there is no %s: all defaults", file);
	if (proxies_have_password(&doctor->settings))
		check_mode(doctor, file, "it holds a proxy's password", 0007, 0640);
	check_mode(doctor, file, "root does what it says", 0002, 0640);
	check_path(doctor, "ca_file", doctor->settings.ca_file);
	check_place(doctor, "root_dir", doctor->settings.root_dir);
	check_place(doctor, "log_dir", doctor->settings.log_dir);
	check_path(doctor, "destination_root", doctor->settings.destination_root);
}

/* Identity */

static bool can_read(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

static int read_pem(const char *path, struct tls_certificate *ret, char fingerprint[65],
		    struct error *err)
{
	auto_free char *pem = NULL;
	auto_x509 X509 *cert = NULL;
	int r = fs_read_file(AT_FDCWD, path, PEM_MAX, &pem, NULL, err);
	if (r == 0)
		r = tls_certificate_read(pem, ret, err);
	if (r == 0)
		r = pki_cert_from_pem(pem, &cert, err);
	return r == 0 ? pki_cert_fingerprint(cert, fingerprint, err) : r;
}

static void say_certificate(struct doctor *doctor, const struct tls_certificate *cert)
{
	char until[CLOCK_ISO_LEN], due[CLOCK_ISO_LEN];
	int64_t now = clock_wall_s(), life = cert->not_after_s - cert->not_before_s;
	clock_format_local(cert->not_after_s, until);
	clock_format_local(cert->not_before_s + life / 3 * 2, due);
	if (cert->not_after_s <= now)
		doctor_say(doctor, DOCTOR_FAILED,
			   "'slipway unenroll', then 'slipway enroll' with a new token; if the "
			   "clock of this host is wrong, put that right first",
			   "this host's certificate %s expired at %s", cert->subject, until);
	else if (cert->not_before_s > now + DOCTOR_SKEW_MAX_S)
		doctor_say(doctor, DOCTOR_FAILED, "put this host's clock right ('timedatectl')",
			   "this host's certificate %s is not valid yet: the clock is wrong",
			   cert->subject);
	else if (cert->not_before_s + life / 4 * 3 < now)
		doctor_say(doctor, DOCTOR_WARNING,
			   "'systemctl status slipwayd' says why; it tries again every hour",
			   "this host's certificate %s until %s has not been renewed since %s",
			   cert->subject, until, due);
	else
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "its certificate %s until %s, renews itself from %s on", cert->subject,
			   until, due);
}

static void check_own_certificate(struct doctor *doctor)
{
	const struct identity *id = doctor->identity;
	struct tls_certificate cert;
	char fingerprint[65];
	struct error err = {0};
	int r = read_pem(id->cert_file, &cert, fingerprint, &err);
	if (r == -EACCES)
		doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
			   "the certificate and key of this host are root's and the agent's");
	else if (r < 0)
		doctor_say(doctor, DOCTOR_FAILED,
			   "'slipway unenroll', then 'slipway enroll' with a new token", "%s: %s",
			   id->cert_file, err.text);
	else
		say_certificate(doctor, &cert);
	const char *problem = doctor_daemon_text(doctor, "certificate_error");
	if (*problem)
		doctor_say(doctor, DOCTOR_WARNING, "it is tried again every hour",
			   "the last renewal failed: %s", problem);
	check_mode(doctor, id->key_file, "the host's key", 0077, 0600);
	if (r == 0 && can_read(id->key_file)) {
		doctor->cert_file = id->cert_file;
		doctor->key_file = id->key_file;
	}
}

static void set_endpoint(struct doctor *doctor, const char *url)
{
	doctor->endpoint = xstrdup(url);
	if (!doctor_split_url(url, &doctor->host, &doctor->port))
		doctor_say(doctor, DOCTOR_FAILED, "enroll this host again",
			   "the endpoint '%s' is no https:// address", url);
	struct http_options options = {0};
	proxies_set(&doctor->settings, PROXIES_COMMANDS, &options);
	const struct proxy_rules rules = {options.proxy, options.no_proxy};
	proxy_choose(&rules, url, &doctor->proxy);
}

static void say_enrolled(struct doctor *doctor)
{
	const struct identity *id = doctor->identity;
	char since[CLOCK_ISO_LEN];
	doctor_say(doctor, DOCTOR_OK, NULL, "this host is '%s' at %s, enrolled %s", id->name,
		   id->endpoint, clock_format_local(id->enrolled_s, since));
	doctor_detail(doctor, "host identifier %s, from %s/identity.json", id->host_identifier,
		      doctor->cli->paths.agent);
	if (doctor->settings.aws)
		doctor_say(doctor, DOCTOR_WARNING,
			   "'slipway unenroll' for AWS, or take 'aws: true' out of agent.yml",
			   "agent.yml has 'aws: true', but this host is enrolled: that counts");
	const char *override = doctor->settings.endpoint;
	if (override && !str_eq(override, id->endpoint))
		doctor_say(doctor, DOCTOR_OK, NULL, "deploy_control_endpoint has %s instead",
			   override);
	set_endpoint(doctor, override ? override : id->endpoint);
	doctor->ca_file = doctor->settings.ca_file ? doctor->settings.ca_file : id->ca_file;
	check_own_certificate(doctor);
}

/* What the daemon tells everybody is enough for the network's layers. */
static void say_hidden(struct doctor *doctor)
{
	const char *endpoint = doctor_daemon_text(doctor, "endpoint");
	doctor->hidden = true;
	bool ours = json_is_true(json_object_get(doctor->daemon, "enrolled"));
	doctor->trust_hidden = !doctor->settings.ca_file && (ours || !*endpoint);
	doctor->ca_file = doctor->settings.ca_file;
	if (!*endpoint) {
		doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
			   "who this host is for its endpoint is root's and the agent's to read");
		return;
	}
	char until[CLOCK_ISO_LEN];
	int64_t expires = doctor_daemon_time(doctor, "certificate_expires");
	doctor_say(doctor, DOCTOR_OK, NULL, "this host is '%s' at %s, says slipwayd",
		   doctor_daemon_text(doctor, "name"), endpoint);
	if (expires)
		doctor_say(doctor, DOCTOR_OK, NULL, "its certificate until %s",
			   clock_format_local(expires, until));
	doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
		   "its key and certificates are root's and the agent's to read");
	set_endpoint(doctor, endpoint);
}

void doctor_identity(struct doctor *doctor)
{
	struct error err = {0};
	int r = identity_load(&doctor->cli->paths, &doctor->identity, &err);
	if (r == 0)
		say_enrolled(doctor);
	else if (r == -EACCES || r == -EPERM)
		say_hidden(doctor);
	else if (r != -ENOENT)
		doctor_say(doctor, DOCTOR_FAILED,
			   "'slipway unenroll', then 'slipway enroll' with a new token", "%s",
			   err.text);
	else if (doctor->settings.aws)
		doctor_aws_identity(doctor);
	else
		doctor_say(doctor, DOCTOR_WARNING,
			   "'slipway enroll' joins an endpoint; 'aws: true' in agent.yml is for "
			   "AWS; deployments by hand need neither",
			   "this host is not enrolled");
	if (r == -ENOENT && doctor->aws) {
		auto_free char *url = doctor_aws_endpoint(doctor);
		doctor_aws_trust(doctor);
		if (url)
			set_endpoint(doctor, url);
	}
}

/* Trust in what is signed */

static void say_signer(struct doctor *doctor, const char *path)
{
	struct tls_certificate ca;
	char fingerprint[65], until[CLOCK_ISO_LEN];
	struct error err = {0};
	const char *again = "'slipway unenroll', then 'slipway enroll' with a new token";
	int r = read_pem(path, &ca, fingerprint, &err);
	if (r == -EACCES)
		doctor_say(doctor, DOCTOR_SKIPPED, "run it as root",
			   "%s: only root and the agent may read it", path);
	else if (r < 0)
		doctor_say(doctor, DOCTOR_FAILED, again,
			   "%s: %s; the worker takes no command without it", path, err.text);
	else if (doctor->identity &&
		 !pki_fingerprint_equal(fingerprint, doctor->identity->ca_fingerprint))
		doctor_say(doctor, DOCTOR_FAILED, again,
			   "%s has another CA (%s, SHA-256 %s) than this host was enrolled with "
			   "(%s)",
			   path, ca.subject, fingerprint, doctor->identity->ca_fingerprint);
	else if (ca.not_after_s <= clock_wall_s())
		doctor_say(doctor, DOCTOR_FAILED, again, "the CA %s expired at %s", ca.subject,
			   clock_format_local(ca.not_after_s, until));
	else
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "specifications must be signed under the enrolled CA %s, until %s",
			   ca.subject, clock_format_local(ca.not_after_s, until));
	if (r == 0)
		doctor_detail(doctor, "%s, SHA-256 %s", path, fingerprint);
}

void doctor_signer(struct doctor *doctor)
{
	if (doctor->identity || doctor->hidden) {
		auto_free char *path = fs_join(doctor->cli->paths.host, "trust/ca.pem");
		say_signer(doctor, path);
		return;
	}
	if (doctor->aws)
		doctor_aws_signer(doctor);
	else
		doctor_say(doctor, DOCTOR_SKIPPED, NULL,
			   "without an endpoint only root's own commands are taken");
}

/* Disk */

static void check_room(struct doctor *doctor, const char *what, const char *dir,
		       const struct statvfs *fs)
{
	uint64_t free_bytes = (uint64_t)fs->f_bavail * fs->f_frsize;
	uint64_t all = (uint64_t)fs->f_blocks * fs->f_frsize;
	bool counts = fs->f_files > 0; /* some file systems make inodes as they are needed */
	char room[32], total[32];
	str_human_bytes(free_bytes, room, sizeof(room));
	str_human_bytes(all, total, sizeof(total));
	auto_free char *next = xasprintf("make room: 'du -xhd1 %s'; max_revisions and "
					 "max_revision_bytes in agent.yml say what is kept",
					 dir);
	if (fs->f_flag & ST_RDONLY)
		doctor_say(doctor, DOCTOR_FAILED,
			   "'journalctl -k' says why, if it became so by itself; mount it writable",
			   "%s, %s: the file system is mounted read-only", what, dir);
	else if (free_bytes < LOW_BYTES)
		doctor_say(doctor, DOCTOR_FAILED, next, "%s, %s: %s of %s are free", what, dir,
			   room, total);
	else if (counts && fs->f_favail < LOW_INODES)
		doctor_say(doctor, DOCTOR_FAILED, "remove small files: 'df -i' shows the inodes",
			   "%s, %s: %" PRIu64 " inodes are free", what, dir,
			   (uint64_t)fs->f_favail);
	else if (free_bytes < SCARCE_BYTES && free_bytes < all / 100 * SCARCE_PERCENT)
		doctor_say(doctor, DOCTOR_WARNING, next, "%s, %s: only %s of %s are free", what,
			   dir, room, total);
	else
		doctor_detail(doctor, "%s, %s: %s of %s are free", what, dir, room, total);
}

void doctor_disk(struct doctor *doctor)
{
	const struct paths *paths = &doctor->cli->paths;
	const struct settings *settings = &doctor->settings;
	const char *tmp = getenv("TMPDIR");
	const struct {
		const char *what, *path;
	} rows[] = {
		{"revisions", settings->root_dir ? settings->root_dir : paths->deployment_root},
		{"the host's records", paths->host},
		{"downloads", paths->agent},
		{"logs", settings->log_dir ? settings->log_dir : paths->log},
		{"destinations", settings->destination_root},
		{"temporary files", str_empty(tmp) ? "/tmp" : tmp},
	};
	uint64_t least = UINT64_MAX;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct statvfs fs;
		if (!rows[i].path)
			continue;
		auto_free char *dir = existing(rows[i].path);
		if (statvfs(dir, &fs) < 0) {
			doctor_say(doctor, DOCTOR_SKIPPED, "run it as root", "%s, %s: %s",
				   rows[i].what, dir, strerror(errno));
			continue;
		}
		check_room(doctor, rows[i].what, dir, &fs);
		uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
		least = room < least ? room : least;
	}
	char room[32];
	if (least != UINT64_MAX && doctor_verdict_of(doctor, DOCTOR_DISK) == DOCTOR_OK)
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "at least %s are free wherever something is "
			   "written",
			   str_human_bytes(least, room, sizeof(room)));
}
