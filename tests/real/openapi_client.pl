#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A client that OpenAPI::Client generates from the agent's document: openapi_client.pl BASE. Loading the document
# validates it by that library. Prints one line of JSON.
use strict;
use warnings;
use Mojo::JSON qw(encode_json);
use Mojo::URL;
use OpenAPI::Client;

my $base   = Mojo::URL->new(shift @ARGV);
my $client = OpenAPI::Client->new($base->clone->path('/openapi.json'));
$client->base_url($base);
my %said = (errors => [map { "$_" } @{$client->validator->errors}], operations => 0);
$said{operations} += keys %{$client->validator->data->{paths}};

sub ask {
  my ($operation, @arguments) = @_;
  my $answer = $client->call($operation, @arguments)->res;
  return {status => 0 + $answer->code, json => $answer->json};
}

my $service = {name => 'perl', id => 'perl-1', port => 4000, tags => ['v1']};
$said{register}  = ask('put_v1_outrider_register', {}, json => $service);
$said{services}  = ask('get_v1_outrider_services', {tag => ['v1']});
$said{instances} = ask('get_v1_outrider_instances_service', {service => 'perl', passing => 1});
$said{select}    = ask('get_v1_outrider_select_service', {service => 'perl', strategy => 'random'});
$said{missing}   = ask('get_v1_outrider_select_service', {strategy => 'random'});
$said{unknown}   = ask('put_v1_outrider_deregister_id', {id => 'nobody'});
$said{deregister} = ask('put_v1_outrider_deregister_id', {id => 'perl-1'});
print encode_json(\%said), "\n";
