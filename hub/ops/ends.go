package ops

import (
	"strconv"

	"channels/hub"
	"channels/protocol"
)

// Codes of RFC 6455 that package protocol has no name for.
const (
	codeNormal    protocol.Code = 1000
	codeGoingAway protocol.Code = 1001
	codeNone      protocol.Code = 1005 // a close frame without a code
	codeAbnormal  protocol.Code = 1006 // no close frame
	codePolicy    protocol.Code = 1008
)

// ends lists how connections end. Each is shown from the start, so that a rate sees
// the first one. docs/operations.md explains them.
var ends = []hub.End{
	{Code: protocol.CodeTLSOnly, Reason: hub.Refused},
	{Code: protocol.CodeUnknownKey, Reason: hub.Refused},
	{Code: protocol.CodeAppDisabled, Reason: hub.Refused},
	{Code: protocol.CodePathNotFound, Reason: hub.Refused},
	{Code: protocol.CodeUnsupportedProtocol, Reason: hub.Refused},
	{Code: protocol.CodeNoProtocol, Reason: hub.Refused},
	{Code: protocol.CodeUnauthorized, Reason: hub.Refused},
	{Code: protocol.CodeOverCapacity, Reason: hub.Refused},
	{Code: protocol.CodeOverQuota, Reason: hub.Quota},
	{Code: protocol.CodeOverCapacity, Reason: hub.Capacity},
	{Code: protocol.CodeUnauthorized, Reason: hub.Unauthorized},
	{Code: protocol.CodeUnauthorized, Reason: hub.Terminated},
	{Code: protocol.CodeAppDisabled, Reason: hub.AppDisabled},
	{Code: protocol.CodeUnknownKey, Reason: hub.AppRemoved},
	{Code: protocol.CodeOverCapacity, Reason: hub.SlowConsumer},
	{Code: protocol.CodePongMissing, Reason: hub.Unread},
	{Code: protocol.CodeOverCapacity, Reason: hub.Backend},
	{Code: protocol.CodeReconnect, Reason: hub.MissedEvents},
	{Code: protocol.CodeReconnect, Reason: hub.Draining},
	{Code: protocol.CodeReconnect, Reason: hub.Stale},
	{Code: protocol.CodePongMissing, Reason: hub.Silent},
	{Code: codeNormal, Reason: hub.ClientClosed},
	{Code: codeGoingAway, Reason: hub.ClientClosed},
	{Code: codeNone, Reason: hub.ClientClosed},
	{Code: protocol.NoCode, Reason: hub.ClientClosed},
	{Code: codeAbnormal, Reason: hub.Disconnected},
	{Code: codePolicy, Reason: hub.MessageTimeout},
	{Code: protocol.CodeProtocolError, Reason: hub.BadFrame},
	{Code: protocol.CodeUnsupportedData, Reason: hub.Unsupported},
	{Code: protocol.CodeInvalidPayload, Reason: hub.BadText},
	{Code: protocol.CodeTooBig, Reason: hub.TooLarge},
}

// codeLabel is the code as a label; the hub folds rare codes of clients into NoCode.
func codeLabel(code protocol.Code) string {
	if code == protocol.NoCode {
		return "other"
	}
	return strconv.Itoa(int(code))
}

// withZeros adds the ends of the list that have not happened yet.
func withZeros(counts map[hub.End]uint64) map[hub.End]uint64 {
	all := make(map[hub.End]uint64, len(ends)+len(counts))
	for _, end := range ends {
		all[end] = 0
	}
	for end, n := range counts {
		all[end] = n
	}
	return all
}
