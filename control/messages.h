/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers of the events that operators of an endpoint act on: MESSAGE_ID of the journal's
 * entry. Each is explained in systemd/slipway-controld.catalog, which 'journalctl -x' shows;
 * tests/lint/messages.sh holds the two against each other. An identifier is never used again for
 * anything else. */
#pragma once

#define MESSAGE_ENDPOINT_MADE "9d1839a181268816b235852eed738290" /* CA_FINGERPRINT */
#define MESSAGE_SERVER_NOT_RENEWED "5d40d9490843dcc7522bc23e70884632"
/* A deployment's end; field DEPLOYMENT_ID */
#define MESSAGE_FLEET_SUCCEEDED "2fbed1e8518c472bc6b92ccf049bcce4"
#define MESSAGE_FLEET_FAILED "4adbed4e256132255ebfaeea1c780f3c"
/* One host; fields HOST_ID and, but for the last two, DEPLOYMENT_ID */
#define MESSAGE_HOST_FAILED "0837defdbb6ad3b7f9402640a1e03892"
#define MESSAGE_HOST_SILENT "a27146b5bb5c944cc6972fe15b296a1a"
#define MESSAGE_HOST_REFUSED "73b15398041ae3fcaf30e65d97aab96b"
#define MESSAGE_ENROLMENT_REFUSED "1e1694971363027fb4a45a4f113722d7"
