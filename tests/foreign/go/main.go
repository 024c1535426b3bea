// Judges certificates with Go's crypto/x509, the code that the docker CLI and dockerd verify with.
//
//	foreign -roots ca.pem -chain cert.pem -usage server|client [-name NAME] [-at RFC3339]
//	foreign -crl clients.crl -issuer clients.pem -serial HEX [-at RFC3339]
//
// Exit 0 when the chain verifies for that use, or the CRL is good and does not list the serial; 3 when it lists it; 1 when
// the chain or the CRL is not to be believed (the reason on stderr); 2 on bad usage. It uses the
// standard library only.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

var usages = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
}

func main() {
	roots := flag.String("roots", "", "file with the trust anchors, PEM")
	chain := flag.String("chain", "", "file with the leaf, then its issuers, PEM")
	usage := flag.String("usage", "", "server or client")
	name := flag.String("name", "", "DNS name or IP address that the leaf must be valid for")
	at := flag.String("at", "", "the time to verify at (default: now)")
	crl := flag.String("crl", "", "file with a CRL, PEM or DER")
	issuer := flag.String("issuer", "", "file with the certificate of the CRL's issuer, PEM")
	serial := flag.String("serial", "", "the serial to look up, hex")
	flag.Parse()
	if *crl != "" && *issuer != "" && *serial != "" && flag.NArg() == 0 {
		listed, err := revoked(*crl, *issuer, *serial, *at)
		if err != nil {
			fmt.Fprintln(os.Stderr, "foreign:", err)
			os.Exit(1)
		}
		if listed {
			os.Exit(3)
		}
		return
	}
	key, known := usages[*usage]
	if *roots == "" || *chain == "" || !known || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := verify(*roots, *chain, key, *name, *at); err != nil {
		fmt.Fprintln(os.Stderr, "foreign:", err)
		os.Exit(1)
	}
}

func verify(rootsFile, chainFile string, usage x509.ExtKeyUsage, name, at string) error {
	roots, err := certificates(rootsFile)
	if err != nil {
		return err
	}
	chain, err := certificates(chainFile)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{
		Roots:         pool(roots),
		Intermediates: pool(chain[1:]),
		KeyUsages:     []x509.ExtKeyUsage{usage},
		DNSName:       name,
	}
	if at != "" {
		if options.CurrentTime, err = time.Parse(time.RFC3339, at); err != nil {
			return err
		}
	}
	leaf := chain[0]
	if leaf.IsCA {
		return errors.New("the leaf is a CA")
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return err
	}
	fmt.Printf("%s %v: %d chain(s), %s, serial %x\n", leaf.Subject, leaf.DNSNames, len(chains), leaf.PublicKeyAlgorithm, leaf.SerialNumber)
	return nil
}

func certificates(file string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return found, nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, certificate := range certificates {
		pool.AddCert(certificate)
	}
	return pool
}
