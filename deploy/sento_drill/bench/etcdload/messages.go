package main

// What etcd is asked, as bytes on the wire: PutRequest, TxnRequest of puts, RangeRequest, each behind gRPC's five bytes of framing.
// Written by hand, because four fields need no generated code. Source: etcd's rpc.proto (field numbers), gRPC over HTTP/2 (framing).

import "encoding/binary"

const (
	pathPut   = "/etcdserverpb.KV/Put"
	pathTxn   = "/etcdserverpb.KV/Txn"
	pathRange = "/etcdserverpb.KV/Range"

	framingBytes = 5
	// Tags of length-delimited fields: field number times eight, plus two.
	tagField1 = 1<<3 | 2
	tagField2 = 2<<3 | 2
)

func varintBytes(value int) int {
	n := 1
	for value >= 0x80 {
		value >>= 7
		n++
	}
	return n
}

func fieldBytes(length int) int { return 1 + varintBytes(length) + length }

func appendHead(out []byte, tag byte, length int) []byte {
	return binary.AppendUvarint(append(out, tag), uint64(length))
}

func appendField(out []byte, tag byte, value []byte) []byte {
	return append(appendHead(out, tag, len(value)), value...)
}

func putBytes(key, value []byte) int { return fieldBytes(len(key)) + fieldBytes(len(value)) }

func appendPut(out, key, value []byte) []byte {
	return appendField(appendField(out, tagField1, key), tagField2, value)
}

// beginMessage leaves room for the framing; endMessage fills it in.
func beginMessage(out []byte) []byte { return append(out[:0], 0, 0, 0, 0, 0) }

func endMessage(out []byte) []byte {
	binary.BigEndian.PutUint32(out[1:framingBytes], uint32(len(out)-framingBytes))
	return out
}

// putMessage is a PutRequest of one key.
func putMessage(out, key, value []byte) []byte {
	return endMessage(appendPut(beginMessage(out), key, value))
}

// txnMessage is a TxnRequest without a condition that puts all keys: TxnRequest.success (2), RequestOp.request_put (2).
func txnMessage(out []byte, keys [][]byte, value []byte) []byte {
	out = beginMessage(out)
	for _, key := range keys {
		put := putBytes(key, value)
		out = appendHead(out, tagField2, fieldBytes(put))
		out = appendHead(out, tagField2, put)
		out = appendPut(out, key, value)
	}
	return endMessage(out)
}

// rangeMessage is a linearizable RangeRequest of one key.
func rangeMessage(out, key []byte) []byte {
	return endMessage(appendField(beginMessage(out), tagField1, key))
}
