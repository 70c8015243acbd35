/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers of the events that operators act on: MESSAGE_ID of the journal's entry. Each is
 * explained in systemd/slipway-agent.catalog, which 'journalctl -x' shows; tests/lint/messages.sh
 * holds the two against each other. An identifier is never used again for anything else. */
#pragma once

/* A deployment's end; fields DEPLOYMENT_ID, GROUP_ID */
#define MESSAGE_DEPLOYMENT_SUCCEEDED "3aa01364d02817de7417d81b4941db27"
#define MESSAGE_DEPLOYMENT_UNDONE "8c48119f28dd0fa4ea9c978290c53304"
#define MESSAGE_DEPLOYMENT_LEFT "a5c906bc12b99bae0cd9ba27678e7cf5"
#define MESSAGE_DEPLOYMENT_STUCK "15cf5c21115547ecd08e18e2646007ab"
/* What a crash left; field GROUP_ID */
#define MESSAGE_RECOVERED "3bdafa698a387598685dc4274ca18977"

/* A script is about to be started; fields DEPLOYMENT_ID, GROUP_ID, HOOK (its event), SCRIPT,
 * SOURCE_USER, TARGET_USER, SUDO */
#define MESSAGE_SCRIPT_STARTS "f395108f0f844126a719acd6a31a8b86"

/* The endpoint, as this host sees it; field ENDPOINT */
#define MESSAGE_ENDPOINT_REACHABLE "6d44572bdb9f3762673d0b4d6ea6a196"
#define MESSAGE_ENDPOINT_UNREACHABLE "0646d21c6dcfc1c6e91565b106407e73"
#define MESSAGE_ENDPOINT_REFUSES "2442bb0a08050dfc86d62141de597f7b"
#define MESSAGE_NOT_ENROLLED "d7238015e9f5a18edc8907f1dffef0d3"
#define MESSAGE_NO_AWS_IDENTITY "4f2c8d06b1e94a7fa3d5709e6c1b8f24"
#define MESSAGE_CERTIFICATE_RENEWED "5ad93b3aca600149959477b4f310c524"
#define MESSAGE_CERTIFICATE_NOT_RENEWED "01238ffa59982c3ed594e779a79b720c"

/* What the endpoint sent and the worker does not do; fields DEPLOYMENT_ID, GROUP_ID, COMMAND */
#define MESSAGE_COMMAND_REFUSED "8cce45d76bde3bdee55acbfff8121f0b"
/* What the endpoint does not take; field DEPLOYMENT_ID */
#define MESSAGE_RESULT_REFUSED "f58ed0efdbccd511ad5464bc58fa6546"
