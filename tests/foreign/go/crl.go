package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"
)

// revoked looks a serial up in a CRL, after checking that its issuer signed it and that it is not stale then.
func revoked(crlFile, issuerFile, serialText, at string) (bool, error) {
	now, err := moment(at)
	if err != nil {
		return false, err
	}
	serial, ok := new(big.Int).SetString(serialText, 16)
	if !ok {
		return false, fmt.Errorf("%q is no serial in hex", serialText)
	}
	issuers, err := certificates(issuerFile)
	if err != nil {
		return false, err
	}
	bytes, err := os.ReadFile(crlFile)
	if err != nil {
		return false, err
	}
	if block, _ := pem.Decode(bytes); block != nil {
		bytes = block.Bytes
	}
	list, err := x509.ParseRevocationList(bytes)
	if err != nil {
		return false, err
	}
	if err := list.CheckSignatureFrom(issuers[0]); err != nil {
		return false, err
	}
	if now.Before(list.ThisUpdate) || now.After(list.NextUpdate) {
		return false, errors.New("the CRL is stale or from the future")
	}
	fmt.Printf("CRL %v of %s: %d entries until %s\n", list.Number, list.Issuer, len(list.RevokedCertificateEntries), list.NextUpdate)
	for _, entry := range list.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(serial) == 0 {
			fmt.Printf("%x: revoked at %s, reason %d\n", serial, entry.RevocationTime, entry.ReasonCode)
			return true, nil
		}
	}
	fmt.Printf("%x: not listed\n", serial)
	return false, nil
}

// moment reads a time in RFC 3339; an empty text is now.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	return time.Parse(time.RFC3339, text)
}
